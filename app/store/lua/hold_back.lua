-- After a 429: nothing leaves until the pause is over. What was sent within the last minute was too much by one for
-- each refusal.
local pause, observed, window = unpack(KEYS)
local until_, least, now, observed_until = unpack(ARGV)
if tonumber(redis.call('GET', pause) or 0) < tonumber(until_) then
  redis.call('SET', pause, until_, 'EX', 86400)
end
if window then
  local sent = redis.call('ZCARD', window)
  local limit = math.min(sent, observed_limit(observed, now) or sent) - 1
  redis.call('SET', observed, math.max(limit, tonumber(least)) .. ' ' .. observed_until, 'EX', 86400)
end
