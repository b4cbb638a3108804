-- When to check a delivery again: after 2 s, 4 s, 8 s, … as far away as it is late, up to `longest` seconds.
-- What is enqueued ahead of its time is checked again `grace` seconds after it was due: the worker that had it may have
-- died.
local function next_check(now, due, grace, longest)
  if due > now then
    return due + grace
  end
  return now + math.min(tonumber(longest), math.max(2, now - due))
end
