"""What is planned: the same for the same seed, and all of it can be done."""

from __future__ import annotations

import json

from tests.chaos import second_provider
from tests.chaos.faults import Breaker, method_of
from tests.chaos.outages import OUTAGE
from tests.chaos.plan import FAULTS, QUIET, plan
from tests.chaos.quiet import NIGHT, SILENCED
from tests.chaos.underneath import UNDERNEATH

EVERY = (*FAULTS, *UNDERNEATH, OUTAGE, *second_provider.FAULTS)


def test_one_seed_is_one_plan() -> None:
    assert plan(7, 60) == plan(7, 60)
    assert plan(7, 60) != plan(8, 60)


def test_a_long_plan_has_every_fault_and_every_kind_of_webhook() -> None:
    long = plan(1, 1800)
    assert {fault.kind for fault in long.faults} == set(EVERY)
    assert all(QUIET <= fault.at < 1800 for fault in long.faults)
    assert {webhook.effect for webhook in long.webhooks} == {"firing", "resolved", "refused"}
    assert {deed.deed for w in long.webhooks for deed in w.deeds} == {
        "acknowledge",
        "unacknowledge",
        "resolve",
        "escalate_now",
    }
    assert {type(webhook.body) for webhook in long.webhooks} == {dict, list}
    assert any(webhook.grows for webhook in long.webhooks)
    assert any(webhook.worse for webhook in long.webhooks)
    assert {silence.ends_after is None for silence in long.silences} == {True, False}
    assert any(deed.minutes for webhook in long.webhooks for deed in webhook.deeds)


def test_every_fault_can_be_done() -> None:
    assert [kind for kind in EVERY if not hasattr(Breaker, method_of(kind))] == []


def test_no_two_webhooks_have_the_same_marker() -> None:
    markers = [webhook.marker for webhook in plan(1, 600).webhooks]
    assert len(markers) == len(set(markers)) > 2000


def test_some_problems_are_acknowledged_after_their_page_and_then_become_worse() -> None:
    webhooks = plan(1, 120).webhooks
    worse = {webhook.problem: webhook.at for webhook in webhooks if webhook.grows}
    continued = [
        webhook.problem
        for webhook in webhooks
        for deed in webhook.deeds
        if deed.deed == "acknowledge" and deed.minutes is None and deed.offset > webhook.wait + 2
        if webhook.at + deed.offset + 2 < worse.get(webhook.problem, 0.0)
    ]
    over = {webhook.problem for webhook in webhooks if webhook.effect == "resolved"}
    assert len(continued) > 5
    assert over & set(continued)


def test_what_is_held_is_a_share_of_its_own() -> None:
    """A silence holds nothing but the problem that it was planned for."""
    long = plan(1, 600)
    held = [w for w in long.webhooks if (w.problem or "").startswith((SILENCED, NIGHT))]
    assert 0.03 < len(held) / len(long.webhooks) < 0.15
    assert {w.body["service"] == w.problem for w in held} == {True}
    others = [w for w in long.webhooks if w not in held]
    assert not any(f'"service": "{one}' in json.dumps(w.body) for w in others for one in (SILENCED, NIGHT))
    assert {silence.problem for silence in long.silences} <= {w.problem for w in held}
