-- After a 429: nothing leaves until the pause is over. What was sent within the last minute was too much by one for
-- each refusal.
local pause, observed, window = unpack(KEYS)
local until_, pause_seconds, least, observed_seconds = unpack(ARGV)
if tonumber(redis.call('GET', pause) or 0) < tonumber(until_) then
  redis.call('SET', pause, until_, 'EX', pause_seconds)
end
if window then
  local sent = redis.call('ZCARD', window)
  local limit = math.min(sent, tonumber(redis.call('GET', observed) or sent)) - 1
  redis.call('SET', observed, math.max(limit, tonumber(least)), 'EX', observed_seconds)
end
