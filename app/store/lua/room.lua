-- How many events a pager may be sent now. The first window is the pager's own; the limit that was observed holds
-- for it.
local queue, pause, observed, looks, pagers, due, taken = unpack(KEYS, 1, 7)
local windows = {unpack(KEYS, 8)}
local now, window_seconds, span = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local limits, rest = {unpack(ARGV, 4, 3 + #windows)}, {unpack(ARGV, 4 + #windows)}
local room = 1e9
if tonumber(redis.call('GET', pause) or 0) > now then
  room = 0
end
for i, window in ipairs(windows) do
  redis.call('ZREMRANGEBYSCORE', window, '-inf', now - window_seconds)
  local limit = tonumber(limits[i])
  if i == 1 then
    limit = math.min(limit, observed_limit(observed, now) or limit)
  end
  room = math.min(room, limit - redis.call('ZCARD', window))
end
