"""The agenda's steps that must be atomic, in Redis's Lua; `app/store/agenda.py` calls them."""

from __future__ import annotations

# The next look comes after 2 s, 4 s, 8 s, …: as far away as the incident is late, up to the last ARGV. What
# is announced ahead is looked at again so soon after it was due: whoever was told may have died.
GRACE_SECONDS = 0.5

NEXT_LOOK = f"""
local function next_look(now, due)
  if due > now then
    return due + {GRACE_SECONDS}
  end
  return now + math.min(tonumber(ARGV[#ARGV]), math.max(2, now - due))
end
"""

LOOK = (
    NEXT_LOOK
    + """
local now, found = tonumber(ARGV[1]), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local due = redis.call('ZSCORE', KEYS[2], id)
  if due then
    redis.call('ZADD', KEYS[1], next_look(now, tonumber(due)), id)
    found[#found + 1] = {id, due}
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return found
"""
)

# KEYS: queue, pause, learned limit, look, sources, due, counter, window...; ARGV: now, window length, span of
# an urgency, limit... The first window is the alert source's own; the limit that was learned holds for it.
ROOM = """
local now, span, room = tonumber(ARGV[1]), tonumber(ARGV[3]), 1e9
if tonumber(redis.call('GET', KEYS[2]) or 0) > now then
  room = 0
end
for i = 8, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - ARGV[2])
  local limit = tonumber(ARGV[i - 4])
  if i == 8 then
    limit = math.min(limit, tonumber(redis.call('GET', KEYS[3]) or limit))
  end
  room = math.min(room, limit - redis.call('ZCARD', KEYS[i]))
end
"""

# More ARGV: ID, rank, name of the alert source, a token, how many may be ahead.
TAKE = (
    ROOM
    + """
local n = #ARGV - 1
local id, rank, source, token = ARGV[n - 3], tonumber(ARGV[n - 2]), ARGV[n - 1], ARGV[n]
local due = redis.call('ZSCORE', KEYS[6], id)
if not due or tonumber(due) > now then
  return 0
end
local class = math.floor(rank / span) * span
local place = redis.call('ZSCORE', KEYS[1], id)
if not place then
  redis.call('ZADD', KEYS[1], rank, id)
  redis.call('SADD', KEYS[5], source)
elseif tonumber(place) > class + now then
  -- Another worker was given it less than two seconds ago.
  return 0
end
if redis.call('ZCARD', KEYS[1]) > room then
  local ahead = 0
  for first = 0, class, span do
    local last = first < class and first + now or string.format('(%.17g', rank)
    ahead = ahead + redis.call('ZCOUNT', KEYS[1], first, last)
  end
  if ahead >= math.min(room, tonumber(ARGV[#ARGV])) then
    redis.call('ZREM', KEYS[4], id)
    return 0
  end
end
redis.call('ZADD', KEYS[1], class + now + 2, id)
redis.call('ZADD', KEYS[4], now + 2, id)
for i = 8, #KEYS do
  redis.call('ZADD', KEYS[i], now, token)
  redis.call('EXPIRE', KEYS[i], 120)
end
redis.call('INCR', KEYS[7])
return 1
"""
)

# More ARGV: name of the alert source, how many urgencies there are, how many incidents at the most, the
# longest time until the next look. What is handed out is looked at again after a while, as in LOOK.
TURN = (
    NEXT_LOOK
    + ROOM
    + """
local n = #ARGV - 1
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SREM', KEYS[5], ARGV[n - 2])
end
room = math.min(room, tonumber(ARGV[n]))
local turn = {}
for urgency = 0, ARGV[n - 1] - 1 do
  if room < 1 then
    break
  end
  local first = urgency * span
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], first, first + now, 'LIMIT', 0, room)) do
    local due, look = redis.call('ZSCORE', KEYS[6], id), redis.call('ZSCORE', KEYS[4], id)
    if not due then
      redis.call('ZREM', KEYS[1], id)
    else
      room = room - 1
      if not look or tonumber(look) <= now then
        redis.call('ZADD', KEYS[4], look and next_look(now, tonumber(due)) or now + 2, id)
        turn[#turn + 1] = {id, due, look and 0 or 1}
      end
    end
  end
end
return turn
"""
)

# KEYS: pause, learned limit, window of the alert source; ARGV: the end of the pause, its length, the least to
# learn, how long it is believed. What was sent within the last minute was too much by one for each refusal.
HOLD_BACK = """
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
if KEYS[3] then
  local sent = redis.call('ZCARD', KEYS[3])
  local learned = math.min(sent, tonumber(redis.call('GET', KEYS[2]) or sent)) - 1
  redis.call('SET', KEYS[2], math.max(learned, tonumber(ARGV[3])), 'EX', ARGV[4])
end
"""
