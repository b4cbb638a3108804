"""The signed link with which people acknowledge: `/api/ack/{id}?exp=…&sig=…`."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

from itsdangerous import Signer

VALID_FOR = timedelta(days=7)


class BadSignature(Exception):
    """The link was not made by this service, or is damaged."""


class LinkExpired(Exception):
    """The link is older than seven days."""


class AckLinks:
    """Makes and checks links. `key` signs them, or gives what does; `base` is the address people reach the
    service at; links that `previous` signed are good, too. A key in Redis may raise `StoreUnavailable`."""

    def __init__(self, key: bytes | Callable[[], bytes], base: str, *, previous: bytes | None = None) -> None:
        self._key = key
        self._base = base
        self._previous = previous

    def _signature(self, incident_id: str, expires: int | str, key: bytes | None = None) -> bytes:
        key = key or (self._key() if callable(self._key) else self._key)
        return Signer(key, salt="versus.acknowledge").get_signature(f"{incident_id}:{expires}")

    def path(self, incident_id: str, now: datetime) -> str:
        """Path and query of a link that is good for seven days."""
        expires = int((now + VALID_FOR).timestamp())
        signature = self._signature(incident_id, expires).decode()
        return f"/api/ack/{incident_id}?exp={expires}&sig={signature}"

    def url(self, incident_id: str, now: datetime) -> str:
        """The whole link."""
        return self._base + self.path(incident_id, now)

    def check(self, incident_id: str, expires: str, signature: str, now: datetime) -> None:
        """Raises `BadSignature` or `LinkExpired` unless the link is good now."""
        # Not the signer's own check, which takes a signature in other spellings too: with padding, for one.
        keys = (None, self._previous) if self._previous else (None,)
        right = [self._signature(incident_id, expires, key) for key in keys]
        if not any(hmac.compare_digest(one, signature.encode(errors="replace")) for one in right):
            raise BadSignature(
                "This link is damaged or was not made by this service: use the link as it was sent."
            )
        if now.timestamp() > int(expires):
            raise LinkExpired(
                "This link is older than 7 days: acknowledge on the dashboard or through the admin API."
            )
