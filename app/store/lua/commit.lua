-- Writes if nothing that was read has changed. ARGV: how many checks, then (key, field, expected) for each, then
-- for each command its length and its words. A commit that happened already, and whose answer got lost, is not
-- repeated, no matter who has written to the same records since.
local committed = KEYS[1]
local remembered_seconds, checks = unpack(ARGV, 1, 2)
if redis.call('EXISTS', committed) == 1 then
  return 1
end
-- The field of a hash; or, if the field begins with '[', all members of a sorted set that begin so.
local function stored(key, field)
  if string.sub(field, 1, 1) == '[' then
    return table.concat(redis.call('ZRANGEBYLEX', key, field, field .. '\127'), ' ')
  end
  local found = redis.pcall('HGET', key, field) or ''
  -- What is no hash has no such field.
  return type(found) == 'table' and '' or found
end
local i = 3
for _ = 1, tonumber(checks) do
  local key, field, expected = unpack(ARGV, i, i + 2)
  if stored(key, field) ~= expected then
    return 0
  end
  i = i + 3
end
while i <= #ARGV do
  local last = i + tonumber(ARGV[i])
  redis.call(unpack(ARGV, i + 1, last))
  i = last + 1
end
redis.call('SET', committed, 1, 'EX', remembered_seconds)
return 1
