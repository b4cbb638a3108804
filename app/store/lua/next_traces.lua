-- Hands out pages of which the provider is to be asked what became of them, the earliest first; each again after a
-- while, since the worker that has it may die.
local queue = KEYS[1]
local now, most, again = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local found = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, most)
for _, member in ipairs(found) do
  redis.call('ZADD', queue, now + again, member)
end
return found
