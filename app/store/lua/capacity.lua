-- How many events a pager may be sent now. The first window is the pager's own.
local queue, pause, observed, next_checks, pagers, due, acquired, probes = unpack(KEYS, 1, 8)
local windows = {unpack(KEYS, 9)}
local now, window_seconds, span = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local limits, rest = {unpack(ARGV, 4, 3 + #windows)}, {unpack(ARGV, 4 + #windows)}
local capacity = believed(observed, probes, now)
if tonumber(redis.call('GET', pause) or 0) > now then
  capacity = 0
end
for i, window in ipairs(windows) do
  redis.call('ZREMRANGEBYSCORE', window, '-inf', now - window_seconds)
  capacity = math.min(capacity, tonumber(limits[i]) - redis.call('ZCARD', window))
end
