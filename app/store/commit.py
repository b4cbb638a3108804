"""The one step that changes records: compares versions, runs commands, all or nothing; it knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from app.store.connection import PREFIX, Command, Connection

COMMITTED = PREFIX + "committed:"
REMEMBERED_SECONDS = 60
"""Longer than anybody tries to reach Redis."""

# Writes if nothing that was read has changed. KEYS: that of the token; ARGV: the number of checks, (hash,
# field, expected) for each, then for each command its length and its words. A commit that happened already,
# and whose answer got lost, is not repeated, whoever has written to the same records since.
COMMIT_SCRIPT = f"""
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
local i = 2
for _ = 1, tonumber(ARGV[1]) do
  if (redis.call('HGET', ARGV[i], ARGV[i + 1]) or '') ~= ARGV[i + 2] then
    return 0
  end
  i = i + 3
end
while i <= #ARGV do
  local last = i + tonumber(ARGV[i])
  redis.call(unpack(ARGV, i + 1, last))
  i = last + 1
end
redis.call('SET', KEYS[1], 1, 'EX', {REMEMBERED_SECONDS})
return 1
"""

Check = tuple[str, str, str]
"""A hash, a field, and what must still be in it; "" for nothing."""

Commit = Callable[[str, Sequence[Check], Iterable[Command]], bool]


def committing(connection: Connection) -> Commit:
    """What takes a token of the step's own, checks and commands; False when a check failed: nothing was done.

    Raises `Unavailable` when called.
    """
    script = connection.script(COMMIT_SCRIPT)

    def commit(token: str, checks: Sequence[Check], commands: Iterable[Command]) -> bool:
        args: list[str | float] = [len(checks)]
        for check in checks:
            args += check
        for command in commands:
            args += (len(command), *command)
        return bool(script([COMMITTED + token], args))

    return commit
