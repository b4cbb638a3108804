local looks, due = unpack(KEYS)
local now, most, longest, grace = unpack(ARGV)
local found = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', looks, '-inf', now, 'LIMIT', 0, most)) do
  local at = redis.call('ZSCORE', due, member)
  if at then
    redis.call('ZADD', looks, next_look(tonumber(now), tonumber(at), grace, longest), member)
    found[#found + 1] = {member, at}
  else
    redis.call('ZREM', looks, member)
  end
end
return found
