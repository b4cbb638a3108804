-- Hands out what may be sent now and is late, or was deferred; each is looked at again after a while.
local pager, longest, grace = rest[1], rest[4], rest[5]
local urgencies, most = tonumber(rest[2]), tonumber(rest[3])
if redis.call('EXISTS', queue) == 0 then
  redis.call('SREM', pagers, pager)
end
room = math.min(room, most)
local turn = {}
for urgency = 0, urgencies - 1 do
  if room < 1 then
    break
  end
  local first = urgency * span
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', queue, first, first + now, 'LIMIT', 0, room)) do
    local at, look = redis.call('ZSCORE', due, member), redis.call('ZSCORE', looks, member)
    if not at then
      redis.call('ZREM', queue, member)
    else
      room = room - 1
      if not look or tonumber(look) <= now then
        local again = look and next_look(now, tonumber(at), grace, longest) or now + 2
        redis.call('ZADD', looks, again, member)
        turn[#turn + 1] = {member, at, look and 0 or 1}
      end
    end
  end
end
return turn
