local next_checks, due = unpack(KEYS)
local now, most, longest, grace = unpack(ARGV)
local found = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', next_checks, '-inf', now, 'LIMIT', 0, most)) do
  local at = redis.call('ZSCORE', due, member)
  if at then
    redis.call('ZADD', next_checks, next_check(tonumber(now), tonumber(at), grace, longest), member)
    found[#found + 1] = {member, at}
  else
    redis.call('ZREM', next_checks, member)
  end
end
return found
