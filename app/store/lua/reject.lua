-- Keeps what was refused; the same again is counted. While there are too many, or too many bytes, the oldest go.
local id, now, entry = ARGV[1], ARGV[2], ARGV[3]
local most, most_bytes, incident = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
redis.call('ZADD', times, now, id)
if redis.call('HSETNX', entries, id, entry) == 1 then
  redis.call('INCRBY', bytes, #entry)
end
redis.call('HINCRBY', counts, id, 1)
if incident ~= '' then
  redis.call('HSET', incidents, id, incident)
end
local kept, used = redis.call('ZCARD', times), tonumber(redis.call('GET', bytes) or 0)
while kept > 1 and (kept > most or used > most_bytes) do
  used = remove(redis.call('ZRANGE', times, 0, 0)[1])
  kept = kept - 1
end
