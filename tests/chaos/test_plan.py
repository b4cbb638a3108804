"""What is planned: the same for the same seed, and all of it can be done."""

from __future__ import annotations

from tests.chaos import second_provider
from tests.chaos.faults import Breaker, method_of
from tests.chaos.outages import OUTAGE
from tests.chaos.plan import FAULTS, QUIET, plan
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
    assert any(deed.minutes for webhook in long.webhooks for deed in webhook.deeds)


def test_every_fault_can_be_done() -> None:
    assert [kind for kind in EVERY if not hasattr(Breaker, method_of(kind))] == []


def test_no_two_webhooks_have_the_same_marker() -> None:
    markers = [webhook.marker for webhook in plan(1, 600).webhooks]
    assert len(markers) == len(set(markers)) > 2000
