-- Writes if nothing that was read has changed. ARGV: seconds, the major of the schema that the writer knows, how many checks,
-- then (key, field, expected) for each, then for each command its length and its words. A commit that happened
-- already, and whose answer got lost, is not repeated, no matter who has written to the same records since.
-- Answers 1; 0 if something has changed; and where a newer version stores otherwise, minus the major of its schema.
local committed, schema = KEYS[1], KEYS[2]
local remembered_seconds, known_major, checks = unpack(ARGV, 1, 3)
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
local major = tonumber(stored(schema, 'major')) or 0
if major > tonumber(known_major) then
  return -major
end
local i = 4
for _ = 1, tonumber(checks) do
  local key, field, expected = unpack(ARGV, i, i + 2)
  if stored(key, field) ~= expected then
    return 0
  end
  i = i + 3
end
if major < tonumber(known_major) then
  redis.pcall('HSET', schema, 'major', known_major)
end
while i <= #ARGV do
  local last = i + tonumber(ARGV[i])
  redis.call(unpack(ARGV, i + 1, last))
  i = last + 1
end
redis.call('SET', committed, 1, 'EX', remembered_seconds)
return 1
