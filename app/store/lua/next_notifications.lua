-- Hands out incidents that a channel is to be notified of, or its summary. More than `most_singles` incidents within
-- a minute are a storm: what is beyond waits for a summary.
local queue, singles, summarized, channels, held = unpack(KEYS)
local channel, minute = ARGV[3], ARGV[5]
local now, most, most_singles = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local first_summary, again = ARGV[6], now + ARGV[7]
local found = {}
local summary = tonumber(redis.call('ZSCORE', queue, 'summary') or 'inf')
if summary <= now then
  redis.call('ZADD', queue, again, 'summary')
  found[1], most = 'summary', most - 1
end
redis.call('ZREMRANGEBYSCORE', singles, '-inf', now - minute)
local room, storm = most_singles - redis.call('ZCARD', singles), false
for _, id in ipairs(redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, most)) do
  if room < 1 and not redis.call('ZSCORE', singles, id) then
    storm = true
    break
  end
  redis.call('ZADD', queue, again, id)
  room = room - redis.call('ZADD', singles, now, id)
  -- A summary that failed may be about it: its own message is newer.
  redis.call('ZREM', held, id)
  found[#found + 1] = id
end
-- A worker that was stopped may have moved something into a summary that was over.
if summary == math.huge and (storm or redis.call('EXISTS', held) == 1) then
  local last = tonumber(redis.call('GET', summarized) or 0)
  redis.call('ZADD', queue, math.max(now + first_summary, last + minute), 'summary')
end
redis.call('EXPIRE', singles, 86400)
if #found == 0 and redis.call('EXISTS', queue) == 0 then
  redis.call('SREM', channels, channel)
end
return found
