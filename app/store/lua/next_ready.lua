-- Hands out what may be sent now and is late, or was deferred; each is checked again after a while.
local pager, longest, grace = rest[1], rest[4], rest[5]
local urgencies, most = tonumber(rest[2]), tonumber(rest[3])
if redis.call('EXISTS', queue) == 0 then
  redis.call('SREM', pagers, pager)
end
capacity = math.min(capacity, most)
local ready = {}
for urgency = 0, urgencies - 1 do
  if capacity < 1 then
    break
  end
  local first = urgency * span
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', queue, first, first + now, 'LIMIT', 0, capacity)) do
    local at, check = redis.call('ZSCORE', due, member), redis.call('ZSCORE', next_checks, member)
    if not at then
      redis.call('ZREM', queue, member)
    else
      capacity = capacity - 1
      if not check or tonumber(check) <= now then
        local again = check and next_check(now, tonumber(at), grace, longest) or now + 2
        redis.call('ZADD', next_checks, again, member)
        ready[#ready + 1] = {member, at, check and 0 or 1}
      end
    end
  end
end
return ready
