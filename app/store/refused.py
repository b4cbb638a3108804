"""Open incidents about refused webhooks: a sorted set of identities, by when one was refused last.

The time is 0 once a webhook of the same sender was read. The rest follows from the incidents, in the step
that writes them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args

from app.domain.alert import own_identity
from app.domain.incident import Incident
from app.domain.state import Phase
from app.store.connection import PREFIX, Command, Connection
from app.store.identities import unchanged
from app.store.lua import lua
from app.store.transaction import committing

OPEN = PREFIX + "refused_webhooks"

Kind = Literal["body", "size", "parameter"]
"""What is wrong with a webhook that is refused."""
KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_OPEN = 20
OTHERS = "refused others"
"""The key of the incident about what comes beyond."""
LASTS = timedelta(hours=24)
ONE_WAS_READ = "the next webhook of its sender, which could be read"
NONE_FOR_A_DAY = "24 hours without another"

_IDENTITY = own_identity("refused ")


def key_of(kind: Kind, sender: str) -> str:
    """The key of the incident about what this sender does wrong."""
    return f"refused {kind} {sender}"


def index(before: Incident | None, after: Incident) -> Iterator[Command]:
    """The command that keeps the set in line with an incident; part of the step that writes it."""
    if after.identity is None or not after.identity.startswith(_IDENTITY):
        return
    if after.phase is Phase.RESOLVED:
        yield "ZREM", OPEN, after.identity
    elif before is None or before.occurrences != after.occurrences:
        yield "ZADD", OPEN, after.changed_at.timestamp(), after.identity


def read(sender: str) -> Command:
    """The command that notes that a webhook of this sender was read, if an incident about it is open."""
    read_of = [word for kind in KINDS for word in (0, own_identity(key_of(kind, sender)))]
    return "ZADD", OPEN, "XX", *read_of


class RefusedWebhooks:
    """The open incidents about refused webhooks, by their keys and identities."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._admit = connection.script(lua("admit_refused"))
        self._commit = committing(connection)

    def admit(self, key: str, now: datetime) -> tuple[str, bool]:
        """The key of the incident to report this under: its own, or `OTHERS` when too many are open.

        And whether it is open, with no webhook read since one was refused. Raises `StoreUnavailable`.
        """
        own, others = own_identity(key), own_identity(OTHERS)
        room, is_open = self._admit([OPEN], [own, others, now.timestamp(), MOST_OPEN])
        return key if room else OTHERS, bool(is_open)

    def read(self, sender: str) -> None:
        """A webhook of this sender was read, and nothing came of it. Raises `StoreUnavailable`."""
        self._connection.call(*read(sender))

    def over(self, now: datetime) -> dict[str, str]:
        """Identities of those that have nothing to wait for any more, and why. Raises `StoreUnavailable`."""
        until = (now - LASTS).timestamp()
        found = self._connection.call("ZRANGEBYSCORE", OPEN, "-inf", until, "WITHSCORES")
        return {
            identity: ONE_WAS_READ if float(at) == 0 else NONE_FOR_A_DAY
            for identity, at in zip(found[::2], found[1::2], strict=True)
        }

    def forget(self, identities: Sequence[str]) -> None:
        """Of these there is no incident, if that is still so. Raises `StoreUnavailable`."""
        checks = [unchanged(identity, ()) for identity in identities]
        if identities:
            self._commit(secrets.token_hex(8), checks, [("ZREM", OPEN, *identities)])
