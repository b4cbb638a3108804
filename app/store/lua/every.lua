-- Answers 1 to one caller of all within so many seconds.
local last = tonumber(redis.call('GET', KEYS[1]) or '')
local now, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
if last and last <= now and now < last + seconds then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
