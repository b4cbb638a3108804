-- Which sources are counted by themselves is decided once, for all processes: what is in the set never goes.
local sources, most = KEYS[1], tonumber(ARGV[1])
for i = 2, #ARGV do
  if redis.call('SCARD', sources) < most then
    redis.call('SADD', sources, ARGV[i])
  end
end
return redis.call('SMEMBERS', sources)
