-- Answers 1 if the delivery may be sent now; then it is counted, and nobody else is given it for two seconds.
local member, pager, token = rest[1], rest[3], rest[4]
local rank, most_ahead = tonumber(rest[2]), tonumber(rest[5])
local at = redis.call('ZSCORE', due, member)
if not at or tonumber(at) > now then
  return 0
end
local class = math.floor(rank / span) * span
local place = redis.call('ZSCORE', queue, member)
if not place then
  redis.call('ZADD', queue, rank, member)
  redis.call('SADD', pagers, pager)
elseif tonumber(place) % span > now then
  -- Another worker was given it less than two seconds ago. Its place may be of another class: of a record
  -- that can't be read, the severity is not known any more.
  return 0
end
if redis.call('ZCARD', queue) > capacity then
  local ahead = 0
  for first = 0, class, span do
    local last = first < class and first + now or string.format('(%.17g', rank)
    ahead = ahead + redis.call('ZCOUNT', queue, first, last)
  end
  if ahead >= math.min(capacity, most_ahead) then
    redis.call('ZREM', next_checks, member)
    return 0
  end
end
redis.call('ZADD', queue, class + now + 2, member)
redis.call('ZADD', next_checks, now + 2, member)
for _, window in ipairs(windows) do
  redis.call('ZADD', window, now, token)
  -- Only so that nothing stays for ever: what counts are the times in it.
  redis.call('EXPIRE', window, 86400)
end
redis.call('INCR', acquired)
if redis.call('EXISTS', observed) == 1 then
  redis.call('HINCRBY', observed, 'taken', 1)
  local gap = redis.call('HGET', observed, 'gap')
  if gap then
    redis.call('HSET', observed, 'probe', token, 'probed_at', now, 'next_probe', now + gap)
    redis.call('HSET', probes, token, now)
    redis.call('EXPIRE', probes, 86400)
  end
end
return 1
