"""What each released schema stored is read, and gone on with, by the code as it is now.

`python -m tests.upgrades` made the files, each by the code of its time.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import Celery

from app import actions, silences, task_queue
from app.store import OURS, Search
from app.store.keys import RECORD, incident_doc
from tasks.deliver import register
from tasks.held import Held
from tests.delivery.notifying import OPS
from tests.upgrades import scene, shape
from tests.upgrades.__main__ import FOLDER

FILES = sorted(file.stem for file in FOLDER.glob("*.json"))


class Old:
    """Redis as an older version left it, and the service as it is now."""

    def __init__(self, schema: str, redis_url: str) -> None:
        self.made: dict[str, Any] = json.loads((FOLDER / f"{schema}.json").read_text())
        scene.restored(redis_url, self.made["keys"])
        self.cast = scene.Cast(redis_url)
        self.cast.clock.now = datetime.fromisoformat(self.made["now"])
        self.ids: dict[str, str] = self.made["incidents"]

    def sent(self) -> dict[str, list[str]]:
        """By the words of the incidents, what the provider was sent."""
        words = {one: word for word, one in self.ids.items()}
        sent: dict[str, list[str]] = {}
        for kind, one in self.cast.provider.notified():
            sent.setdefault(words.get(one, one), []).append(kind)
        return sent


@pytest.fixture(params=FILES)
def old(request: pytest.FixtureRequest, redis_url: str) -> Old:
    return Old(request.param, redis_url)


def test_every_record_is_read_and_nothing_of_it_is_lost(old: Old) -> None:
    assert scene.states(old.cast, old.ids) == old.made["states"]
    listed = old.cast.services.store.incidents.page(Search(), 100, None).incidents
    assert {one.id for one in listed} == set(old.ids.values())
    assert not any("unreadable" in one.labels for one in listed)
    for incident in listed:
        doc = old.made["keys"][f"versus:incident:{incident.id}"][1]["doc"]
        assert json.loads(incident_doc(incident, RECORD.validate_json(doc), doc)) == json.loads(doc)


def test_what_is_due_is_paged_and_what_was_acknowledged_is_not(old: Old) -> None:
    old.cast.clock.wind(minutes=4)
    for incident_id in old.ids.values():
        old.cast.page(incident_id)
    assert old.sent() == {
        "pending": ["firing"],
        "successor": ["firing"],
        "in doubt": ["firing"],
        "being sent": ["firing"],
        "resolving": ["resolved"],
    }
    # A refused key is tried again after five minutes.
    old.cast.clock.wind(minutes=2)
    old.cast.page(old.ids["failed"])
    assert old.sent()["failed"] == ["firing"]


def test_people_and_silences_go_on(old: Old) -> None:
    services = old.cast.services
    assert actions.acknowledge(services, old.ids["pending"], "Robin").acknowledged_by == "Robin"
    assert actions.resolve(services, old.ids["escalated"], "Robin").state == "resolved"
    [silence] = services.store.silences.read().all
    assert (silence.comment, silence.by) == ("moving", "Dana")
    silences.end(services, silence.id, "Robin")
    released = services.store.incidents.require(old.ids["silenced"])
    assert (released.silenced_until, released.due_at) == (None, old.cast.clock.now + timedelta(minutes=3))
    assert services.store.notifications.summary(OPS).last_error == "no answer"


def test_its_messages_lead_to_pages(old: Old, redis_url: str) -> None:
    celery = Celery("versus", set_as_current=False)
    register(celery, old.cast.services, Held())
    deliver = celery.tasks[task_queue.DELIVER]
    old.cast.clock.wind(minutes=4)
    for args, kwargs in scene.messages(redis_url):
        # A newer version may say more.
        deliver(*args, "more", **kwargs, newer=True)
    assert {"pending", "successor"} <= old.sent().keys()
    assert "acknowledged" not in old.sent()


def test_the_schema_knows_every_field_that_is_stored() -> None:
    """Fails when a stored field was added: raise MINOR in app/store/schema.py, once for each release, and
    run `python -m tests.upgrades`; until the first release, that command alone.

    A field never goes, and never changes its meaning or its default: docs/upgrading.md.
    """
    now = shape.fields()
    known = {schema: json.loads((FOLDER / f"{schema}.json").read_text())["fields"] for schema in FILES}
    for schema, kinds in known.items():
        gone = {kind: [*set(names) - set(now.get(kind, ()))] for kind, names in kinds.items()}
        assert not any(gone.values()), f"fields of schema {schema} are gone"
    assert known[OURS] == now
