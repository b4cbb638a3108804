-- Moves what waits for a turn of its own into the summary, not what is being sent or in a pause after a failure.
-- Answers how many there were.
local queue, for_summary = unpack(KEYS)
local now, most = unpack(ARGV)
local ids = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #ids, 2 do
  if ids[i] ~= 'summary' then
    redis.call('ZREM', queue, ids[i])
    redis.call('ZADD', for_summary, ids[i + 1], ids[i])
  end
end
return #ids / 2
