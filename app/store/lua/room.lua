-- How many events a pager may be sent now. The first window is the pager's own.
local queue, pause, observed, looks, pagers, due, taken, probes = unpack(KEYS, 1, 8)
local windows = {unpack(KEYS, 9)}
local now, window_seconds, span = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local limits, rest = {unpack(ARGV, 4, 3 + #windows)}, {unpack(ARGV, 4 + #windows)}
local room = believed(observed, probes, now)
if tonumber(redis.call('GET', pause) or 0) > now then
  room = 0
end
for i, window in ipairs(windows) do
  redis.call('ZREMRANGEBYSCORE', window, '-inf', now - window_seconds)
  room = math.min(room, tonumber(limits[i]) - redis.call('ZCARD', window))
end
