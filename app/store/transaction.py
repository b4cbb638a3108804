"""The one step that changes records: compares versions, runs commands, all or nothing; it knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from app.store.connection import PREFIX, Command, Connection
from app.store.lua import lua
from app.store.schema import MAJOR, SCHEMA, NewerSchema

COMMITTED = PREFIX + "committed:"
REMEMBERED_SECONDS = 60
"""Longer than anybody tries to reach Redis."""

Check = tuple[str, str, str]
"""A key, a field, and what must still be in it, "" for nothing; see `app/store/lua/commit.lua`."""

Commit = Callable[[str, Sequence[Check], Iterable[Command]], bool]


def committing(connection: Connection) -> Commit:
    """What takes a token of the step's own, checks and commands; False when a check failed: nothing was done.

    Raises `StoreUnavailable` when called, `NewerSchema` among them.
    """
    script = connection.script(lua("commit"))

    def commit(token: str, checks: Sequence[Check], commands: Iterable[Command]) -> bool:
        args: list[str | float] = [REMEMBERED_SECONDS, MAJOR, len(checks)]
        for check in checks:
            args += check
        for command in commands:
            args += (len(command), *command)
        answer = int(script([COMMITTED + token, SCHEMA], args))
        if answer < 0:
            raise NewerSchema(-answer)
        return answer == 1

    return commit
