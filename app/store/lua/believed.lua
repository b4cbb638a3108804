-- How many events a provider that answered 429 is believed to take now: `burst` in each `period` (seconds), as it did
-- before the last refusal. A limit of seconds is used evenly, one of a minute at once. After a refusal single events
-- probe whether it takes more; after that, each period that was used whole makes more of the next one.
local believed_fields = {'opened', 'period', 'burst', 'taken', 'refused', 'growth', 'gap', 'next_probe', 'probed_at',
  'until', 'earliest', 'earlier'}
local short, minute, slice = 10, 61, 0.25

local function adopt(observed, o)
  -- That a probe left later than it could have was not the provider's doing.
  local took, measured = o['until'] - o.opened, o.taken - o.refused - 1
  if o.probed_at - o.opened > short then
    took, measured = math.min(minute, o.probed_at - (o.earliest or o.opened)), measured + (o.earlier or 0)
  end
  -- Never less than incident.io's documented limit, 2 a second, and a tenth less than before at most.
  local rate = math.max(measured / math.max(took, 1), 2)
  local period = took > short and took or 1
  if o.period and (period == 1) == (o.period == 1) then
    rate = math.max(rate, 0.9 * o.burst / o.period)
  end
  o.opened, o.period, o.burst, o.taken, o.growth = o.probed_at, period, rate * period, 1, 0
  redis.call('HSET', observed, 'refused', 0)
  redis.call('HDEL', observed, 'gap', 'probe', 'probed_at', 'next_probe', 'earliest', 'earlier')
end

local function believed(observed, probes, now)
  local o = {}
  for i, value in ipairs(redis.call('HMGET', observed, unpack(believed_fields))) do
    o[believed_fields[i]] = tonumber(value or nil)
  end
  if not o.opened then
    return 1e9
  end
  if o.gap then
    local probe = redis.call('HGET', observed, 'probe')
    if not probe or redis.call('HEXISTS', probes, probe) == 1 then
      return (o.next_probe or 0) <= now and 1 or 0
    end
    adopt(observed, o)
  elseif now >= o.opened + o.period then
    if o.taken >= math.floor(o.burst) then
      o.growth = o.growth + 0.03
      o.burst = o.burst * (1 + o.growth)
    end
    o.opened, o.taken = math.max(o.opened + o.period, now - o.period), 0
  end
  redis.call('HSET', observed, 'opened', o.opened, 'period', o.period, 'burst', o.burst, 'taken', o.taken,
    'growth', o.growth)
  local share = o.period > short and 1 or math.min(1, (now - o.opened) / o.period + slice)
  return math.floor(o.burst * share) - o.taken
end
