"""The one step that changes records: compares versions, runs commands, all or nothing; it knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from app.store.connection import Command, Connection

# Writes if nothing that was read has changed. ARGV: the new token, the number of checks, (hash, field,
# expected) for each, then for each command its length and its words. A commit that already happened, whose
# answer got lost, is not repeated.
COMMIT_SCRIPT = """
if redis.call('HGET', KEYS[1], 'v') == ARGV[1] then
  return 1
end
local i = 3
for _ = 1, tonumber(ARGV[2]) do
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
return 1
"""

Check = tuple[str, str, str]
"""A hash, a field, and what must still be in it; "" for nothing."""

Commit = Callable[[str, Sequence[str], Sequence[Check], Iterable[Command]], bool]


def committing(connection: Connection) -> Commit:
    """What takes a token, keys of records, checks and commands; False when a check failed: nothing was done.

    The first record has the token as its version afterwards, by which a step whose answer got lost is known;
    one that leaves no record behind has the token "". Raises `Unavailable` when called.
    """
    script = connection.script(COMMIT_SCRIPT)

    def commit(token: str, keys: Sequence[str], checks: Sequence[Check], commands: Iterable[Command]) -> bool:
        args: list[str | float] = [token, len(checks)]
        for check in checks:
            args += check
        for command in commands:
            args += (len(command), *command)
        return bool(script(keys, args))

    return commit
