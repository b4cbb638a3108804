-- How many events a pager may be sent now. The first window is the pager's own; the limit that was observed holds
-- for it.
local queue, pause, observed, next_checks, pagers, due, acquired = unpack(KEYS, 1, 7)
local windows = {unpack(KEYS, 8)}
local now, window_seconds, span = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local limits, rest = {unpack(ARGV, 4, 3 + #windows)}, {unpack(ARGV, 4 + #windows)}
local capacity = 1e9
if tonumber(redis.call('GET', pause) or 0) > now then
  capacity = 0
end
for i, window in ipairs(windows) do
  redis.call('ZREMRANGEBYSCORE', window, '-inf', now - window_seconds)
  local limit = tonumber(limits[i])
  if i == 1 then
    limit = math.min(limit, tonumber(redis.call('GET', observed) or limit))
  end
  capacity = math.min(capacity, limit - redis.call('ZCARD', window))
end
