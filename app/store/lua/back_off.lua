-- After a 429: nothing leaves until the pause is over, then single events probe whether the provider takes more,
-- further and further apart. A first refusal belongs to what was sent within `moment` seconds, or within the
-- minute, as the probes will show.
local pause, observed, window = unpack(KEYS)
local until_, now, token, remembered = unpack(ARGV, 1, 4)
local moment, first_gap, longest_gap = unpack(ARGV, 5, 7)
if tonumber(redis.call('GET', pause) or 0) < tonumber(until_) then
  redis.call('SET', pause, until_, 'EX', 86400)
end
if redis.call('EXISTS', observed) == 0 then
  local oldest = window and redis.call('ZRANGE', window, 0, 0, 'WITHSCORES')[2] or now
  local since = now - moment
  local recent = window and redis.call('ZRANGEBYSCORE', window, since, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or now
  local sent = window and redis.call('ZCOUNT', window, since, '+inf') or 0
  local earlier = window and redis.call('ZCARD', window) - sent or 0
  redis.call('HSET', observed, 'opened', recent, 'taken', sent, 'earliest', oldest, 'earlier', earlier)
end
redis.call('HINCRBY', observed, 'refused', 1)
redis.call('HSET', observed, 'until', until_)
local gap, probe = redis.call('HGET', observed, 'gap'), redis.call('HGET', observed, 'probe')
if not gap then
  redis.call('HSET', observed, 'gap', first_gap)
elseif probe == token then
  redis.call('HSET', observed, 'gap', math.min(longest_gap, gap * 1.5))
end
redis.call('EXPIRE', observed, remembered)
