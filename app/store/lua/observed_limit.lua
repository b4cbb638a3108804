-- The limit that a 429 taught, unless the time is over for which it holds.
local function observed_limit(key, now)
  local limit, until_ = string.match(redis.call('GET', key) or '', '^(%S+) (%S+)$')
  return limit and tonumber(until_) >= tonumber(now) and tonumber(limit) or nil
end
