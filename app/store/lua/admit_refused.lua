-- Whether there is room for an incident of its own about a refused webhook, which it then has; and whether the one
-- to join is open, and no webhook of its sender was read since.
local open = KEYS[1]
local own, others, now, most = unpack(ARGV)
local function is_open(identity)
  return tonumber(redis.call('ZSCORE', open, identity) or 0) > 0 and 1 or 0
end
if redis.call('ZSCORE', open, own) then
  return {1, is_open(own)}
end
local of_others = redis.call('ZSCORE', open, others) and 1 or 0
if redis.call('ZCARD', open) - of_others >= tonumber(most) then
  return {0, is_open(others)}
end
redis.call('ZADD', open, now, own)
return {1, 0}
