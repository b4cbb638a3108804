"""A page that does not get out is loud: late for every channel, then the fallback, link by link."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from pydantic import SecretStr

from app.bootstrap import Services
from app.delivery import pages
from app.delivery.notifications import notify
from app.destinations.channels import Channels
from app.domain.alert import Alert
from app.domain.delivery import Destination, Outcome
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.domain.state import State
from app.domain.subscription import Subscription
from config import ChannelSettings, load_config
from tests.factories import receive_one
from tests.fakes import INFRA, PAGER, Clock, RecordingChannel, RecordingProvider, environment

UNAVAILABLE = Outcome("try_again", "503", "server_error")
WRONG = Outcome("misconfigured", "404", "not_found")
OPS, SMS = Destination("ops"), Destination("channel/sms")
MINUTES = timedelta(minutes=1)


def opened(clock: Clock, *fallback: Destination) -> Incident:
    return Incident.opened(
        "id",
        Alert("Disk full", "test"),
        clock.now,
        due_at=clock.now,
        pager=PAGER,
        subscriptions=(Subscription(OPS, (), "critical"),),
        fallback=fallback,
        late_after=2 * MINUTES,
    )


def failed(incident: Incident, pager: Destination, clock: Clock, outcome: Outcome = UNAVAILABLE) -> Incident:
    """After an attempt that ended so; the next one is in a minute."""
    claimed = incident.claimed(pager, "t", clock.now, timedelta(seconds=15))
    return claimed.refused(pager, "t", clock.now, outcome, clock.now + MINUTES)


def test_a_page_is_late_when_attempts_fail_for_two_minutes(clock: Clock) -> None:
    incident = opened(clock, INFRA)
    assert incident.next_step(ITSELF) is None
    incident = failed(incident, PAGER, clock)
    step = incident.next_step(ITSELF)
    assert step is not None
    assert step.at == clock.now + 2 * MINUTES
    late = incident.became_late(clock.wind(minutes=2))
    assert late.next_step(ITSELF) is None
    assert [change.event for change in late.changes] == ["created", "late"]
    step = late.next_step(OPS)
    assert step is not None
    assert step.event == "late"
    assert dict(late.steps())[INFRA].at == clock.now


@pytest.mark.parametrize("end", ["accepted", "acknowledged", "resolved", "never tried"])
def test_nothing_is_late_that_got_out_or_is_over_or_only_waits(clock: Clock, end: str) -> None:
    incident = opened(clock)
    if end == "never tried":
        assert incident.next_step(ITSELF) is None
        return
    incident = failed(incident, PAGER, clock)
    clock.wind(minutes=1)
    if end == "accepted":
        claimed = incident.claimed(PAGER, "u", clock.now, timedelta(seconds=15))
        incident = claimed.delivered(PAGER, "u", clock.now, "202")
    elif end == "acknowledged":
        incident = incident.acknowledged("somebody", clock.now)
    else:
        incident = incident.resolved("somebody", clock.now)
    assert incident.next_step(ITSELF) is None


def test_a_refused_page_goes_to_the_fallback_at_once(clock: Clock) -> None:
    incident = failed(opened(clock, INFRA), PAGER, clock, WRONG)
    assert dict(incident.steps())[INFRA].at == clock.now
    assert [change.event for change in incident.changes] == ["created", "failed"]


def test_links_are_tried_one_after_the_other_and_acceptance_ends_the_chain(clock: Clock) -> None:
    incident = failed(opened(clock, INFRA, SMS), PAGER, clock, WRONG)
    assert set(dict(incident.steps())) == {PAGER, INFRA}
    incident = failed(incident, INFRA, clock)
    assert set(dict(incident.steps())) == {PAGER, INFRA, SMS}
    assert incident.state is State.ESCALATING
    claimed = incident.claimed(SMS, "s", clock.now, timedelta(seconds=15))
    incident = claimed.delivered(SMS, "s", clock.now, "sent")
    # A channel is a last resort: incident.io is tried on.
    assert set(dict(incident.steps())) == {PAGER, INFRA}
    clock.wind(minutes=1)
    claimed = incident.claimed(INFRA, "i", clock.now, timedelta(seconds=15))
    incident = claimed.delivered(INFRA, "i", clock.now, "202")
    assert dict(incident.steps()) == {}
    assert incident.state is State.ESCALATED
    resolved = incident.resolved("somebody", clock.wind(minutes=1))
    assert set(dict(resolved.steps())) == {INFRA}


def test_each_target_has_a_chain_of_its_own(clock: Clock) -> None:
    other = Destination("incident_io/other")
    incident = opened(clock, INFRA).repeated(
        Alert("Disk full", "test"), clock.now, due_at=clock.now, pager=other, asked=True
    )
    claimed = incident.claimed(PAGER, "t", clock.now, timedelta(seconds=15))
    incident = claimed.delivered(PAGER, "t", clock.now, "202")
    assert incident.state is State.PENDING
    incident = failed(incident, other, clock, WRONG)
    assert set(dict(incident.steps())) == {other, INFRA}
    claimed = incident.claimed(INFRA, "i", clock.now, timedelta(seconds=15))
    assert claimed.delivered(INFRA, "i", clock.now, "202").state is State.ESCALATED


def test_escalate_now_begins_the_chain_anew(clock: Clock) -> None:
    incident = failed(opened(clock, INFRA), PAGER, clock, WRONG)
    again = incident.escalated_now("somebody", clock.wind(minutes=1))
    assert set(dict(again.steps())) == {PAGER}


def test_the_whole_way_over_a_real_store(
    services: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    ops, sms = RecordingChannel(), RecordingChannel()
    url = SecretStr("json://localhost")
    settings = [ChannelSettings("ops", url, events=()), ChannelSettings("sms", url, default=False)]
    channels = Channels(settings, {"ops": ops, "sms": sms})
    config = load_config(environ=environment(redis_url))
    oncall = config.oncall.model_copy(update={"fallback": ("incident_io/infra", "channel/sms")})
    services = dataclasses.replace(
        services, config=config.model_copy(update={"oncall": oncall}), channels=channels
    )
    incident_id = receive_one(services, wait=0).id
    provider.outcomes = [UNAVAILABLE] * 1000
    until = clock.now + timedelta(minutes=4)
    while clock.now < until:
        entries = services.store.delivery_queue.next_checks(clock.now, 100)
        for entry in entries:
            pages.deliver(services, entry.incident_id, [entry.pager])
        for channel in services.store.notifications.channels():
            for one in services.store.notifications.next(channel, clock.now, 10):
                notify(services, channel, one)
        clock.wind(milliseconds=500)
    assert {event.alert_source for event in provider.events} == {"default", "infra"}
    assert [event for event, _ in ops.notified()] == ["late"]
    assert ops.messages[0][0].ack_url is not None
    # Once as any channel, once as the last resort.
    assert [event for event, _ in sms.notified()] == ["late", "late"]
    incident = services.store.incidents.require(incident_id)
    assert incident.state is State.ESCALATING
    assert incident.escalated_at is None
