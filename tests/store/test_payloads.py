"""What bodies may take of Redis: counted in the step that writes, and never at the cost of an incident."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import redis

from app.domain.alert import Alert
from app.domain.incident import Incident
from app.store import Store
from app.store.keys import PAYLOAD_BYTES
from app.store.payloads import COUNTED_FOR
from tests.fakes import PAGER
from tests.stories.stack import wait_until

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
BODY = '{"title": "Disk full"}'


@pytest.fixture
def taken(redis_url: str) -> Callable[[], int]:
    """Bytes that are counted."""
    client = redis.Redis.from_url(redis_url)
    return lambda: int(client.get(PAYLOAD_BYTES) or 0)


def put(store: Store, incident: Incident, payload: str | None = BODY) -> Incident:
    unit = store.incidents.unit_of_work([incident.id])
    return store.incidents.update(unit, lambda unit: unit.save(incident, payload), lambda *_: False)[0]


def opened(incident_id: str) -> Incident:
    return Incident.opened(incident_id, Alert("Disk full", "test"), NOW, due_at=NOW, pager=PAGER)


def test_bodies_count_until_their_incident_is_resolved(store: Store, taken: Callable[[], int]) -> None:
    first, _ = put(store, opened("a")), put(store, opened("b"))
    assert taken() == 2 * len(BODY)
    put(store, first.noted(NOW, "note"), None)
    assert taken() == 2 * len(BODY)
    put(store, first, BODY + " ")
    assert taken() == 2 * len(BODY) + 1
    put(store, first.resolved("ops", NOW), None)
    assert taken() == len(BODY)
    assert store.incidents.payload("a") is not None


def test_beyond_the_limit_the_incident_is_kept_without_its_body(
    redis_url: str, taken: Callable[[], int]
) -> None:
    store = Store(redis_url, payload_bytes=2 * len(BODY))
    for name in ("a", "b", "c"):
        put(store, opened(name))
    # Another process counts anew.
    other = Store(redis_url, payload_bytes=2 * len(BODY))
    put(other, opened("d"))
    assert other.incidents.require("d").title == "Disk full"
    assert other.incidents.payload("d") is None
    size = taken()
    put(other, other.incidents.require("a"), BODY * 2)
    assert other.incidents.payload("a") is None
    assert taken() == size - len(BODY)
    put(other, other.incidents.require("b").resolved("ops", NOW), None)

    def kept() -> bool:
        put(other, other.incidents.require("d"))
        return other.incidents.payload("d") is not None

    wait_until(kept, "there is room again", COUNTED_FOR + 5)


def test_many_at_once_share_the_room(redis_url: str, taken: Callable[[], int]) -> None:
    store = Store(redis_url, payload_bytes=3 * len(BODY))
    unit = store.incidents.assume_new([])
    many = [opened(str(n)) for n in range(10)]
    store.incidents.update(unit, lambda unit: [unit.save(one, BODY) for one in many], lambda *_: False)
    assert taken() == 3 * len(BODY)
    assert sum(store.incidents.payload(one.id) is not None for one in many) == 3
