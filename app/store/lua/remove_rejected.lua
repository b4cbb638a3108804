-- KEYS of both scripts about rejected bodies.
local times, entries, counts, bytes, incidents = unpack(KEYS)

-- Removes every trace of an entry; returns how many bytes the others take.
local function remove(id)
  local used = redis.call('DECRBY', bytes, redis.call('HSTRLEN', entries, id))
  redis.call('ZREM', times, id)
  redis.call('HDEL', entries, id)
  redis.call('HDEL', counts, id)
  redis.call('HDEL', incidents, id)
  if redis.call('ZCARD', times) == 0 then
    redis.call('DEL', bytes)
  end
  return used
end
