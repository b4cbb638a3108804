"""Fields that only another version knows: read as if they were not there, and kept whatever is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app import actions, silences
from app.delivery.notifications import notify
from app.domain.alert import Alert
from app.domain.delivery import Delivery, Destination, InvalidTransition, Outcome
from app.domain.incident import Incident
from app.domain.state import State
from app.domain.subscription import Change, Subscription
from app.store.keys import RECORD, delivery_doc, incident_doc
from tests.delivery.notifying import OPS
from tests.factories import an_alert, opened
from tests.fakes import DELIVERED, EPOCH, INFRA, PAGER
from tests.upgrades import scene
from tests.upgrades.shape import NEWER, lost, made_newer

LEASE = timedelta(seconds=15)
REFUSED = Outcome("try_again", "no answer", "timeout", uncertain=True)
GROUP: dict[str, Any] = {"identity": "k", "members": {"a": "high", "b": ""}, "installation": "one"}


def _repeated(i: Incident, now: Any, alert: Alert) -> Incident:
    return i.repeated(alert, now, due_at=now, pager=INFRA, asked=True)


def _claimed(i: Incident, now: Any) -> Incident:
    return i.claimed(PAGER, "token", now, LEASE)


MOVES: dict[str, Callable[[Incident, Any], Incident]] = {
    "acknowledge": lambda i, now: i.acknowledged("ops", now, 30),
    "unacknowledge": lambda i, now: i.unacknowledged("ops", now),
    "resolve": lambda i, now: i.resolved("ops", now),
    "page now": lambda i, now: i.escalated_now("ops", now),
    "note": lambda i, now: i.commented(an_alert(), now),
    "repeat": lambda i, now: _repeated(i, now, an_alert(severity="critical", **GROUP)),
    "repeat with fewer": lambda i, now: _repeated(
        i, now, an_alert(labels={"token": "x"}, **{**GROUP, "members": {"c": "high"}})
    ),
    "claim": _claimed,
    "page": lambda i, now: _claimed(i, now).delivered(PAGER, "token", now, "202"),
    "fail": lambda i, now: _claimed(i, now).refused(PAGER, "token", now, REFUSED, now + LEASE),
    "go on": lambda i, now: i.advanced(now),
}


@given(st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=12), st.integers(0, 3))
def test_they_survive_any_changes_and_change_nothing(moves: list[str], until_newer: int) -> None:
    now = EPOCH
    incident = opened(due_at=now + timedelta(minutes=3), labels={"env": "prod"}, **GROUP)
    incident = replace(
        incident,
        subscriptions=(Subscription(OPS, ("created",)),),
        changes=(Change(1, "created", now), Change(2, "of_a_newer_version", now)),
        late_after=timedelta(minutes=2),
    )
    doc = was = incident_doc(incident, None, "")
    for n, move in enumerate(moves):
        if n == min(until_newer, len(moves) - 1):
            doc = was = json.dumps(made_newer(json.loads(doc)))
        now += timedelta(minutes=1)
        with suppress(InvalidTransition):
            after = MOVES[move](incident, now)
            doc = incident_doc(after, incident, doc)
            incident = after
        assert RECORD.validate_json(doc) == incident
    assert lost(json.loads(was), json.loads(doc)) == []


def test_a_claim_of_ones_own_has_nothing_of_anothers() -> None:
    before = Delivery(attempts=1)
    claimed = _claimed(opened(due_at=EPOCH), EPOCH).pagers[PAGER]
    doc = json.loads(delivery_doc(claimed, json.dumps({"attempts": 1, "claim": None, **NEWER})))
    assert doc == {**json.loads(delivery_doc(claimed)), **NEWER}
    doc = json.dumps(doc | {"claim": doc["claim"] | NEWER})
    again = replace(claimed, claim=replace(claimed.claim, token="another")) if claimed.claim else before
    assert NEWER.keys().isdisjoint(json.loads(delivery_doc(again, doc))["claim"])


def test_a_delivery_that_cant_be_read_is_written_anew() -> None:
    for damaged in ("{", "[]", '{"accepted": "maybe", "newer": 1}'):
        assert delivery_doc(Delivery(failures=1), damaged) == '{"failures":1}'


def test_they_survive_in_redis_what_people_workers_and_channels_do(redis_url: str) -> None:
    cast, client = scene.Cast(redis_url), scene.client(redis_url)
    services, played = cast.services, scene.play(cast)
    before = {one: make_newer(client, f"versus:incident:{one}") for one in played.values()}
    [silence] = services.store.silences.read().all
    newer = {**json.loads(str(client.hget("versus:silences", silence.id))), **NEWER}
    client.hset("versus:silences", mapping={silence.id: json.dumps(newer), "v": "newer"})
    summary = {**json.loads(str(client.hget("versus:summary:ops", "delivery"))), **NEWER}
    client.hset("versus:summary:ops", "delivery", json.dumps(summary))

    silences.end(services, silence.id, "Robin")
    cast.clock.wind(minutes=4)
    for word, one in played.items():
        cast.page(one)
        notify(services, OPS, one)
        if word != "resolved":
            actions.acknowledge(services, one, "Robin") if word == "pending" else None
            actions.resolve(services, one, "Robin")
        cast.page(one)
    read = services.store.notifications.summary(OPS)
    assert services.store.notifications.save_summary(OPS, read, replace(read, failures=2), cast.clock.now)

    for one, fields in before.items():
        now = client.hgetall(f"versus:incident:{one}")
        assert lost(json.loads(fields["doc"]), json.loads(now["doc"])) == []
        assert NEWER.items() <= json.loads(now["doc"]).items()
        assert now["newer"] == "1"
        channel = "channel:ops"
        assert channel not in fields or NEWER.items() <= json.loads(now[channel]).items()
    assert set(scene.states(cast, played).values()) == {State.RESOLVED}
    kept = (client.hget("versus:silences", silence.id), client.hget("versus:summary:ops", "delivery"))
    assert all(NEWER.items() <= json.loads(str(doc)).items() for doc in kept)
    assert json.loads(str(kept[1]))["failures"] == 2


def make_newer(client: Any, key: str) -> dict[str, str]:
    """The fields of the record, as a newer version would have written it."""
    fields: dict[str, str] = client.hgetall(key)
    for name, doc in fields.items():
        if name == "doc":
            fields[name] = json.dumps(made_newer(json.loads(doc)))
        elif name.startswith("channel:"):
            fields[name] = json.dumps({**json.loads(doc), **NEWER})
    client.hset(key, mapping={**fields, "newer": "1"})
    return fields


def test_a_provider_that_only_a_newer_version_has_is_tried_by_each_until_one_knows_it(redis_url: str) -> None:
    cast = scene.Cast(redis_url)
    incident_id = cast.report(0)
    elsewhere = replace(
        cast.services.store.incidents.require(incident_id), pagers={Destination("newer/x"): Delivery()}
    )
    cast.services.update(lambda unit: unit.save(elsewhere), ids=[incident_id])
    cast.page(incident_id)
    stored = cast.services.store.incidents.require(incident_id)
    assert stored.state is State.ESCALATING
    assert stored.last_error == "This version has no provider newer."
    cast.clock.wind(seconds=30)
    cast.provider.name = "newer"
    providers = {"newer": cast.provider}
    cast.services = replace(cast.services, providers=providers)
    cast.page(incident_id, DELIVERED)
    assert cast.provider.notified() == [("firing", incident_id)]


def test_a_change_that_only_a_newer_version_knows_is_not_notified_of(redis_url: str) -> None:
    cast = scene.Cast(redis_url)
    incident_id = cast.report()

    def newer(incident: Incident) -> Incident:
        wants = tuple(replace(one, events=("created", "mentioned")) for one in incident.subscriptions)
        return replace(incident, subscriptions=wants, changes=(*incident.changes, change))

    change = Change(2, "mentioned", EPOCH)
    cast.services.update(lambda unit: unit.save(newer(unit.require(incident_id))), ids=[incident_id])
    notify(cast.services, OPS, incident_id)
    assert cast.channel.notified() == [("created", incident_id)]
    assert cast.services.store.incidents.require(incident_id).changes[-1] == change
