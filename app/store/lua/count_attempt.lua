-- Counting and the end of the count are one step: a count without end would shut an address out for ever.
local count, seconds = KEYS[1], ARGV[1]
local attempts = redis.call('INCR', count)
if attempts == 1 then
  redis.call('EXPIRE', count, seconds)
end
return attempts
