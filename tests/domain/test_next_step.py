"""What is sent next, and when: a table of cases, and what must hold after any moves of incident and workers.

Between the times that `Incident.next_step` names nothing changes by itself: until then nobody may claim the
step, from then on anybody may, and it is the same step until somebody changes the incident or its deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.alert import SEVERITIES, Alert, Severity, rank
from app.domain.delivery import Claim, Delivery, Destination, EventKind, InvalidTransition, Outcome, Step
from app.domain.incident import Incident
from app.domain.record import ITSELF, REST, Reopening
from app.domain.silence import Silence, Silences
from app.domain.state import Phase, State
from app.domain.subscription import CHANGE_EVENTS, Change, ChangeEvent, Subscription
from app.store import delivery_queue, notifications
from app.store.connection import Command
from config.match import Match
from tests.fakes import INFRA, PAGER

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
LEASE = timedelta(seconds=15)
OPS = Destination("ops")
MAIL = Destination("mail/night@example.com")
CHANNELS = (OPS, MAIL, Destination("slack/C0123"))


def at(seconds: float) -> datetime:
    """So long after the incident came in."""
    return NOW + timedelta(seconds=seconds)


def claim(event: str, until: float, through: int = 0) -> Claim:
    return Claim("t", event, at(until), through)


# -- pages ----------------------------------------------------------------------------------------------

FIRING, RESOLVED = "firing", "resolved"
# It came in at 0 and is due at 180; what is acknowledged or resolved is so since 200.
DUE, OVER = at(180), at(200)


def pages(phase: Phase, delivery: Delivery) -> Incident:
    due_at = None if phase is Phase.OPEN else DUE
    opened = Incident.opened("i", Alert(title="x", source="test"), NOW, due_at=due_at, pager=PAGER)
    resolved_at = OVER if phase is Phase.RESOLVED else None
    return replace(opened, phase=phase, resolved_at=resolved_at, pagers={PAGER: delivery})


PAGES: list[tuple[str, Phase, Delivery, Step | None]] = [
    ("nobody asked for on-call", Phase.OPEN, Delivery(), None),
    # -- pending: the page
    ("the page, when it is due", Phase.PENDING, Delivery(), Step(FIRING, DUE, DUE)),
    ("the page is out", Phase.PENDING, Delivery(accepted="firing"), None),
    (
        "asked for before it was due: with the others",
        Phase.PENDING,
        Delivery(added_at=at(60)),
        Step(FIRING, DUE, DUE),
    ),
    (
        "asked for later: at once, and not late by more than that",
        Phase.PENDING,
        Delivery(added_at=at(300)),
        Step(FIRING, at(300), at(300)),
    ),
    (
        "under way: again when its worker has died",
        Phase.PENDING,
        Delivery(claim=claim(FIRING, 195)),
        Step(FIRING, DUE, at(195)),
    ),
    (
        "after a failure: at the end of the pause, though needed since it was due",
        Phase.PENDING,
        Delivery(failures=3, retry_at=at(188)),
        Step(FIRING, DUE, at(188)),
    ),
    (
        "under way after a failure: the later of the two",
        Phase.PENDING,
        Delivery(failures=1, retry_at=at(190), claim=claim(FIRING, 205)),
        Step(FIRING, DUE, at(205)),
    ),
    (
        "refused for good: tried again all the same",
        Phase.PENDING,
        Delivery(failures=1, failed=True, retry_at=at(480)),
        Step(FIRING, DUE, at(480)),
    ),
    ("given up", Phase.PENDING, Delivery(failures=9, given_up=FIRING), None),
    (
        "no answer came: it may be out, and is sent again under the same key",
        Phase.PENDING,
        Delivery(uncertain=True, failures=1, retry_at=at(182)),
        Step(FIRING, DUE, at(182)),
    ),
    # -- acknowledged: nothing, whatever the pager has
    ("acknowledged in time", Phase.ACKNOWLEDGED, Delivery(), None),
    ("acknowledged while it was sent", Phase.ACKNOWLEDGED, Delivery(claim=claim(FIRING, 215)), None),
    ("acknowledged after the page", Phase.ACKNOWLEDGED, Delivery(accepted="firing"), None),
    ("acknowledged, and it may be out", Phase.ACKNOWLEDGED, Delivery(uncertain=True), None),
    # -- resolved: the resolve event, if the pager has the page or may have it
    ("never paged", Phase.RESOLVED, Delivery(), None),
    ("every attempt to page was refused", Phase.RESOLVED, Delivery(attempts=4, last_error="500"), None),
    ("paged", Phase.RESOLVED, Delivery(accepted="firing"), Step(RESOLVED, OVER, OVER)),
    ("perhaps paged", Phase.RESOLVED, Delivery(uncertain=True), Step(RESOLVED, OVER, OVER)),
    (
        "the page is under way: after it, or after its lease",
        Phase.RESOLVED,
        Delivery(claim=claim(FIRING, 210)),
        Step(RESOLVED, OVER, at(210)),
    ),
    (
        "the worker with the page died long ago",
        Phase.RESOLVED,
        Delivery(claim=claim(FIRING, 195)),
        Step(RESOLVED, OVER, OVER),
    ),
    (
        "the resolve event failed: at the end of the pause",
        Phase.RESOLVED,
        Delivery(accepted="firing", failures=1, retry_at=at(202)),
        Step(RESOLVED, OVER, at(202)),
    ),
    ("the resolve event is out", Phase.RESOLVED, Delivery(accepted="resolved", uncertain=True), None),
    ("the resolve event was given up", Phase.RESOLVED, Delivery(accepted="firing", given_up=RESOLVED), None),
    (
        "the page was given up, but may be out",
        Phase.RESOLVED,
        Delivery(uncertain=True, given_up=FIRING),
        Step(RESOLVED, OVER, OVER),
    ),
]


@pytest.mark.parametrize(
    ("phase", "delivery", "step"), [row[1:] for row in PAGES], ids=[row[0] for row in PAGES]
)
def test_what_a_pager_is_sent_next(phase: Phase, delivery: Delivery, step: Step | None) -> None:
    incident = pages(phase, delivery)
    assert incident.next_step(PAGER) == step
    assert dict(incident.steps()) == ({} if step is None else {PAGER: step})
    assert incident.is_over == (phase is Phase.RESOLVED and step is None)


@pytest.mark.parametrize(
    ("pager", "delivery", "step"),
    [
        ("pagerduty/default", Delivery(accepted="firing"), Step("acknowledged", OVER, OVER)),
        ("webhook/default", Delivery(accepted="firing"), Step("acknowledged", OVER, OVER)),
        ("incident_io/default", Delivery(accepted="firing"), None),
        ("servicenow/default", Delivery(accepted="firing"), None),
        ("pagerduty/default", Delivery(), None),
        ("pagerduty/default", Delivery(uncertain=True), None),
        ("pagerduty/default", Delivery(accepted="acknowledged"), None),
    ],
)
def test_an_acknowledgement_after_the_page_goes_to_providers_that_understand_it(
    pager: str, delivery: Delivery, step: Step | None
) -> None:
    one = Destination(pager)
    opened = Incident.opened("i", Alert(title="x", source="test"), NOW, due_at=DUE, pager=one)
    incident = replace(opened, pagers={one: delivery}).acknowledged("somebody", OVER)
    assert incident.next_step(one) == step


def test_what_heard_of_the_acknowledgement_hears_of_the_end() -> None:
    one = Destination("pagerduty/default")
    opened = Incident.opened("i", Alert(title="x", source="test"), NOW, due_at=DUE, pager=one)
    paged = replace(opened, pagers={one: Delivery(accepted="firing", accepted_at=DUE)})
    claimed = paged.acknowledged("somebody", OVER).claimed(one, "t", OVER, LEASE)
    heard = claimed.delivered(one, "t", OVER, "202", "acknowledged")
    assert (heard.next_step(one), heard.state, heard.escalated_at) == (None, State.ACKNOWLEDGED, DUE)
    assert heard.resolved("somebody", at(300)).next_step(one) == Step(RESOLVED, at(300), at(300))


def test_who_is_neither_pager_nor_channel_is_sent_nothing() -> None:
    incident = pages(Phase.PENDING, Delivery())
    assert incident.next_step(INFRA) is None
    assert incident.next_step(OPS) is None


# -- the incident itself --------------------------------------------------------------------------------

LATER = at(300)
ACKNOWLEDGED = pages(Phase.PENDING, Delivery()).acknowledged("ops", OVER)
JOINED = replace(ACKNOWLEDGED, members=replace(ACKNOWLEDGED.members, joined=("a",)))

OWN: list[tuple[str, Incident, str | None, datetime | None]] = [
    ("it waits", pages(Phase.PENDING, Delivery()), None, None),
    ("acknowledged until it is resolved", ACKNOWLEDGED, None, None),
    (
        "acknowledged for some minutes",
        replace(ACKNOWLEDGED, acknowledged_until=LATER),
        "acknowledgement_ended",
        LATER,
    ),
    ("members joined", JOINED, "members_joined", OVER),
    (
        "members joined soon after they reopened it",
        replace(JOINED, members_reopened_at=at(100)),
        "members_joined",
        at(100) + REST,
    ),
    (
        "the acknowledgement ends sooner",
        replace(JOINED, members_reopened_at=at(100), acknowledged_until=LATER),
        "acknowledgement_ended",
        LATER,
    ),
    ("members do not count", replace(JOINED, reopening=Reopening(("severity",))), None, None),
    ("another one continues it", replace(JOINED, acknowledged_until=LATER, next_id="j"), None, None),
    ("it continues another one", replace(ACKNOWLEDGED, previous_is_open=True), None, None),
    (
        "it continues another one, and is over",
        replace(ACKNOWLEDGED, previous_is_open=True).resolved("ops", LATER),
        "previous_over",
        LATER,
    ),
    ("over, whatever the acknowledgement was", JOINED.resolved("ops", LATER), None, None),
]


@pytest.mark.parametrize(
    ("incident", "event", "moment"), [row[1:] for row in OWN], ids=[row[0] for row in OWN]
)
def test_what_becomes_of_an_incident_by_itself(
    incident: Incident, event: str | None, moment: datetime | None
) -> None:
    step = incident.next_step(ITSELF)
    assert (step and step.event, step and step.at) == (event, moment)


# -- channels -------------------------------------------------------------------------------------------

# Created at 0, acknowledged at 60, resolved at 90.
LIFE = (Change(1, "created", at(0)), Change(2, "acknowledged", at(60)), Change(3, "resolved", at(90)))
ALL = Subscription(OPS, CHANGE_EVENTS)

NOTIFICATIONS: list[tuple[str, Subscription, Severity | None, int, Delivery, Step | None]] = [
    # -- what it wants, of the first so many changes
    ("new", ALL, None, 1, Delivery(), Step("created", at(0), at(0), 1)),
    ("nothing happened since", ALL, None, 1, Delivery(notified_through=1, tried_through=1), None),
    (
        "away meanwhile: one message that is up to date, waiting since the first",
        ALL,
        None,
        3,
        Delivery(),
        Step("resolved", at(0), at(90), 3),
    ),
    (
        "only what it was not notified of",
        ALL,
        None,
        3,
        Delivery(notified_through=1, tried_through=1),
        Step("resolved", at(60), at(90), 3),
    ),
    ("what it does not want", Subscription(OPS, ("failed",)), None, 3, Delivery(), None),
    (
        "the newest that it wants gives the heading",
        Subscription(OPS, ("created", "acknowledged")),
        None,
        3,
        Delivery(),
        Step("acknowledged", at(0), at(60), 2),
    ),
    ("too little for it", Subscription(OPS, CHANGE_EVENTS, "high"), "medium", 3, Delivery(), None),
    (
        "severe enough for it",
        Subscription(OPS, CHANGE_EVENTS, "high"),
        "high",
        1,
        Delivery(),
        Step("created", at(0), at(0), 1),
    ),
    ("without a severity it is medium", Subscription(OPS, CHANGE_EVENTS, "high"), None, 1, Delivery(), None),
    # -- how the attempts are going
    (
        "under way: again when its worker has died",
        ALL,
        None,
        1,
        Delivery(tried_through=1, claim=claim("created", 20, 1)),
        Step("created", at(0), at(20), 1),
    ),
    (
        "after a failure: at the end of the pause",
        ALL,
        None,
        1,
        Delivery(tried_through=1, failures=1, retry_at=at(70)),
        Step("created", at(0), at(70), 1),
    ),
    (
        "something new ends the pause",
        ALL,
        None,
        2,
        Delivery(tried_through=1, failures=1, retry_at=at(300)),
        Step("acknowledged", at(0), at(60), 2),
    ),
    (
        "what it does not want ends no pause",
        Subscription(OPS, ("created",)),
        None,
        3,
        Delivery(tried_through=1, failures=1, retry_at=at(300)),
        Step("created", at(0), at(300), 1),
    ),
    (
        "something new waits for the attempt that is under way: messages keep their order",
        ALL,
        None,
        2,
        Delivery(tried_through=1, claim=claim("created", 75, 1)),
        Step("acknowledged", at(0), at(75), 2),
    ),
    (
        "a worker died with it, and then something new happened",
        ALL,
        None,
        3,
        Delivery(tried_through=1, claim=claim("created", 20, 1)),
        Step("resolved", at(0), at(90), 3),
    ),
    (
        "given up counts as notified",
        ALL,
        None,
        2,
        Delivery(notified_through=2, tried_through=2, failures=9, given_up="acknowledged"),
        None,
    ),
]


def notifies(changes: Iterable[Change], severity: Severity | None, *subscriptions: Subscription) -> Incident:
    opened = Incident.opened(
        "i", Alert(title="x", source="test"), NOW, due_at=None, pager=PAGER, subscriptions=subscriptions
    )
    return replace(opened, severity=severity, changes=tuple(changes))


@pytest.mark.parametrize(
    ("subscription", "severity", "happened", "delivery", "step"),
    [row[1:] for row in NOTIFICATIONS],
    ids=[row[0] for row in NOTIFICATIONS],
)
def test_what_a_channel_is_sent_next(
    subscription: Subscription,
    severity: Severity | None,
    happened: int,
    delivery: Delivery,
    step: Step | None,
) -> None:
    incident = notifies(LIFE[:happened], severity, subscription)
    assert incident.next_step(OPS, delivery) == step


def test_that_nobody_was_paged_is_for_every_channel() -> None:
    failed = Change(2, "failed", at(60))
    for subscription in (Subscription(OPS, ()), Subscription(OPS, ("created",), "critical")):
        step = notifies([LIFE[0], failed], "info", subscription).next_step(OPS, Delivery())
        assert step == Step("failed", at(60), at(60), 2)


def test_one_that_became_severe_enough_brings_what_came_before_it() -> None:
    raised = Change(2, "severity_raised", at(60))
    channel = Subscription(OPS, CHANGE_EVENTS, "high")
    assert notifies([LIFE[0]], "low", channel).next_step(OPS) is None
    assert notifies([LIFE[0], raised], "high", channel).next_step(OPS) == Step(
        "severity_raised", at(0), at(60), 2
    )


moments = st.integers(-100, 1000).map(at)
severities = st.none() | st.sampled_from(SEVERITIES)


@st.composite
def channel_deliveries(draw: st.DrawFn) -> Delivery:
    """What any channel might have, of six changes."""
    notified = draw(st.integers(0, 6))
    tried = draw(st.integers(notified, 6))
    claimed = draw(st.none() | moments)
    return Delivery(
        notified_through=notified,
        tried_through=tried,
        failures=draw(st.integers(0, 20)),
        retry_at=draw(st.none() | moments),
        claim=None if claimed is None else Claim("t", "created", claimed, tried),
    )


@st.composite
def subscription_of(draw: st.DrawFn, destination: Destination) -> Subscription:
    events = draw(st.sets(st.sampled_from(CHANGE_EVENTS)))
    return Subscription(destination, tuple(sorted(events)), draw(severities))


@given(
    st.lists(st.tuples(st.sampled_from(CHANGE_EVENTS), st.integers(0, 100)), max_size=6),
    severities,
    subscription_of(OPS),
    channel_deliveries(),
)
def test_of_any_delivery_of_a_channel(
    happened: list[tuple[ChangeEvent, int]],
    severity: Severity | None,
    subscription: Subscription,
    delivery: Delivery,
) -> None:
    moment, changes = NOW, []
    for number, (event, later) in enumerate(happened, 1):
        moment += timedelta(seconds=later)
        changes.append(Change(number, event, moment))
    step = notifies(changes, severity, subscription).next_step(OPS, delivery)
    wanted = [change for change in changes if subscription.wants(change.event, severity)]
    unknown = [change for change in wanted if change.sequence > delivery.notified_through]
    assert (step is None) == (not unknown)
    if step is None:
        return
    # Up to date, and waiting since the first; never before it happened, nor beside another attempt.
    assert (step.event, step.through) == (unknown[-1].event, unknown[-1].sequence)
    assert step.since == unknown[0].at
    assert delivery.claim is None or step.at >= delivery.claim.until
    if step.through > delivery.tried_through:
        assert step.at >= unknown[-1].at
    # Once it was notified through this change, nothing is left.
    after = replace(delivery, notified_through=step.through, tried_through=step.through, claim=None)
    assert notifies(changes, severity, subscription).next_step(OPS, after) is None


# -- any moves ------------------------------------------------------------------------------------------

# Few values, so that the same things meet often.
few_members = st.dictionaries(st.sampled_from("abc"), st.sampled_from(("", "critical", "low")), max_size=2)
few_severities = st.sampled_from((None, *SEVERITIES[::2]))
waits = st.sampled_from((None, 0, 60))


def typical_subscription(destination: Destination) -> st.SearchStrategy[Subscription]:
    some: tuple[tuple[ChangeEvent, ...], ...] = (CHANGE_EVENTS, ("created",), ("acknowledged", "resolved"))
    return st.builds(
        Subscription, st.just(destination), st.sampled_from(some), st.sampled_from((None, "high"))
    )


REFUSALS = (
    Outcome("try_again", "500", "server_error"),
    Outcome("try_again", "timeout", "timeout", uncertain=True),
    Outcome("misconfigured", "404", "not_found"),
)


@dataclass(frozen=True)
class Attempt:
    """What a worker is sending, and may report at any time, or never."""

    destination: Destination
    token: str
    step: Step


class World:
    """An incident with two pagers at the most and three channels, its people, and workers that may die."""

    def __init__(self, incident: Incident) -> None:
        self.now = NOW
        self.tokens = 0
        self.attempts: list[Attempt] = []
        self.incident = incident
        self.deliveries: dict[Destination, Delivery] = {}
        self.queues: dict[str, dict[str, float]] = {}
        # Each pager's page, as one would say it without knowing the code.
        self.out: dict[Destination, bool] = {}
        self.in_doubt: dict[Destination, bool] = {}
        # What was acknowledged, in the same way: when, until when, and the alerts of the group.
        self.acknowledged_at: datetime | None = None
        self.until: datetime | None = None
        self.fire: set[str] = set()
        self.covered: set[str] = set()
        self.joined: set[str] = set()
        self.members_counted_at = at(-(10**6))
        self.wait = None if incident.due_at is None else incident.due_at - NOW
        self.continued: list[Incident] = []
        self.silence: Silence | None = None
        self.quiet_until: datetime | None = None
        """The end of the silence that holds it, or held it last."""
        self.queue(delivery_queue.index(None, incident, enqueue_at=None))
        self.queue(notifications.index([(None, incident)]))

    # -- what people, senders and time do

    def time_goes_by(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def acknowledge(self, minutes: int | None) -> None:
        if self.incident.phase is Phase.RESOLVED:
            return
        until = None if minutes is None else self.now + timedelta(minutes=minutes)
        after = self.incident.acknowledged("ops", self.now, minutes)
        if self.acknowledged_at is None or (self.until is not None and (until is None or until > self.until)):
            self.acknowledged_at, self.until = self.now, until
            self.covered, self.joined = set(self.fire), set()
        else:
            assert after is self.incident
        assert (after.acknowledged_at, after.acknowledged_until) == (self.acknowledged_at, self.until)
        self.becomes(after)

    def unacknowledge(self) -> None:
        if self.incident.phase is Phase.RESOLVED:
            return
        after = self.incident.unacknowledged("ops", self.now)
        if self.acknowledged_at is None:
            assert after is self.incident
        else:
            self.reopens(after)

    def resolve(self) -> None:
        self.acknowledged_at = None
        self.becomes(self.incident.resolved("ops", self.now))

    def escalate_now(self) -> None:
        try:
            after = self.incident.escalated_now("ops", self.now)
        except InvalidTransition:
            return
        self.acknowledged_at, self.wait, self.quiet_until = None, self.wait or timedelta(0), None
        self.becomes(after)
        for pager in after.pagers:
            step = after.next_step(pager)
            assert step is None or step.event == "resolved" or step.at == self.now or step.since == self.now

    def repeat(
        self,
        severity: Severity | None,
        wait: int | None,
        pager: Destination,
        asked: bool,
        members: dict[str, str],
        ended: set[str],
    ) -> None:
        before = self.incident
        if before.phase is Phase.RESOLVED:
            return
        due_at = None if wait is None else self.now + timedelta(seconds=wait)
        alert = Alert(
            title="x",
            source="test",
            severity=severity,
            members=members,
            ended_members=tuple(ended - members.keys()),
        )
        after = before.repeated(alert, self.now, due_at=due_at, pager=pager, asked=asked)
        if wait is not None and self.wait is None:
            self.wait = timedelta(seconds=wait)
        if asked and due_at is not None:
            assert pager in after.pagers
        if self.is_reopened_by(alert):
            self.reopens(after)
            self.settle()
            return
        # What is to be paged is neither put off nor taken back.
        for known, step in before.steps():
            if known != ITSELF:
                assert after.next_step(known) == step
        assert (after.phase is Phase.ACKNOWLEDGED) == (self.acknowledged_at is not None)
        self.becomes(after)
        self.settle()

    # -- silences

    def make_silence(self, minutes: int) -> None:
        until = self.now + timedelta(minutes=minutes)
        self.tokens += 1
        self.silence = Silence(
            str(self.tokens), Match.read({"source": "test"}), until, "deployment", "Dana", self.now
        )
        self.settle()

    def end_silence(self) -> None:
        self.silence = None
        self.settle()

    def settle(self) -> None:
        """It is held, or held no longer; what is under way is not taken back."""
        before, silence = self.incident, self.silence
        active = silence is not None and self.now < silence.until
        if silence and before.phase is Phase.RESOLVED:
            # What is over is held by no other silence than by the one that held it.
            active = active and before.silence_id == silence.id
        after = before.under(Silences("v", (silence,) if silence else ()), self.now)
        begins = None
        if active and silence and not (before.page_asked or before.phase is Phase.RESOLVED):
            begins = self.quiet_until = silence.until
            assert after.is_silenced(self.now)
        elif self.quiet_until is not None and not active:
            begins = self.now if self.now < self.quiet_until else None
            resolved = before.phase is Phase.RESOLVED
            self.quiet_until = min(self.now, self.quiet_until) if resolved else None
            assert not after.is_silenced(self.now)
        if begins is not None and any(step.event == "firing" for _, step in self.page_steps()):
            assert after.due_at == begins + (self.wait or timedelta(0))
        elif before.due_at is not None:
            assert after.due_at == before.due_at
        self.becomes(after)

    def heard_at(self, moment: datetime) -> datetime:
        """No channel is notified of anything before the silence is over."""
        return moment if self.quiet_until is None else max(moment, self.quiet_until)

    def is_reopened_by(self, alert: Alert) -> bool:
        """As one would say it without knowing the code."""
        fires, ended = set(alert.members), set(alert.ended_members)
        self.fire = (self.fire | fires) - ended
        incident = self.incident
        if self.acknowledged_at is None:
            paged = incident.escalated_at if incident.state is State.ESCALATED else None
            return paged is not None and self.now - paged > timedelta(days=1)
        new = {one for one in fires - self.covered if rank(alert.members[one]) <= rank(incident.severity)}
        self.covered |= fires
        self.joined = (self.joined | new) - ended
        counted = self.members_counted_at + REST
        # What comes first, the end of the acknowledgement or the members, opens it again.
        rested = self.now >= counted and not (self.until and self.until <= min(self.now, counted))
        return (
            (alert.severity is not None and rank(alert.severity) < rank(incident.severity))
            or (bool(self.joined) and rested)
            or self.now - self.acknowledged_at > timedelta(days=1)
        )

    def reopens(self, after: Incident) -> None:
        """It waits anew, with all the time that was asked for first."""
        assert after.phase is (Phase.OPEN if self.wait is None else Phase.PENDING)
        assert after.due_at == (None if self.wait is None else self.heard_at(self.now) + self.wait)
        assert (after.acknowledged_at, after.acknowledged_by, after.acknowledged_until) == (None, None, None)
        assert set(after.members.known) == self.fire
        assert not after.changes or after.changes[-1].event == "reopened"
        # Providers collapse what has the key of an alert that is open there.
        has_alert = any(map(self.may_have_page, self.incident.pagers))
        assert (after.id != self.incident.id) == has_alert
        if self.joined:
            self.members_counted_at = self.now
        self.acknowledged_at, self.joined = None, set()
        if has_alert:
            self.goes_on_as(after)
        self.becomes(after)

    def goes_on_as(self, successor: Incident) -> None:
        before = self.incident
        kept = before.continued(successor)
        assert successor.previous_id == before.id
        assert dict(kept.steps()) == {}
        assert all(delivery == Delivery() for delivery in successor.pagers.values())
        assert set(successor.pagers) >= set(before.pagers)
        self.queue(delivery_queue.index(before, kept, enqueue_at=None))
        self.queue(notifications.index([(before, kept)]))
        self.continued.append(kept)
        self.queue(delivery_queue.index(None, successor, enqueue_at=None))
        self.queue(notifications.index([(None, successor)]))
        self.incident = successor
        self.attempts, self.out, self.in_doubt, self.deliveries = [], {}, {}, {}

    # -- what time does

    def it_moves_on(self, step: Step) -> None:
        self.now = max(self.now, step.at)
        after = self.incident.advanced(self.now)
        if step.event == "previous_over":
            previous = self.continued.pop()
            over = previous.resolved("its successor", self.now)
            self.queue(delivery_queue.index(previous, over, enqueue_at=None))
            assert self.incident.resolved_at is not None
            assert [one.event for _, one in over.steps() if one.event == "resolved"]
            # The rest of its life is like that of any other.
            self.queues = {
                key: {m: a for m, a in kept.items() if not m.startswith(f"{over.id} ")}
                for key, kept in self.queues.items()
            }
            assert after.next_step(ITSELF) is None
            self.becomes(after)
            return
        assert self.acknowledged_at is not None
        if step.event == "acknowledgement_ended":
            assert step.at == self.until
        else:
            assert self.joined
            assert step.at == max(self.acknowledged_at, self.members_counted_at + REST) or step.at <= self.now
        self.reopens(after)

    # -- what workers do

    def a_worker_claims(self, which: int) -> None:
        steps = self.steps()
        if not steps:
            return
        destination, step = steps[which % len(steps)]
        if destination == ITSELF:
            self.it_moves_on(step)
            return
        self.now = max(self.now, step.at)
        self.tokens += 1
        token = str(self.tokens)
        others = self.steps(but=destination)
        if destination in CHANNELS:
            self.saves(destination, self.delivery(destination).claimed(step, token, self.now, LEASE))
        else:
            # A claim that is still there belongs to a worker that never reported.
            self.in_doubt[destination] = self.may_have_page(destination)
            self.becomes(self.incident.claimed(destination, token, self.now, LEASE))
        self.attempts.append(Attempt(destination, token, step))
        # A claim moves the time, and nothing else.
        assert dict(self.steps())[destination] == replace(step, at=self.now + LEASE)
        assert self.steps(but=destination) == others

    def an_attempt_ends(self, which: int, refusal: Outcome | None, pause: int | None) -> None:
        if not self.attempts:
            return
        attempt = self.attempts.pop(which % len(self.attempts))
        again_at = None if refusal is None or pause is None else self.now + timedelta(seconds=pause)
        if attempt.destination in CHANNELS:
            others = self.steps(but=attempt.destination)
            self.notification_ended(attempt, refusal, again_at)
            assert self.steps(but=attempt.destination) == others
            return
        others = self.page_steps(but=attempt.destination)
        if refusal is None:
            self.page_delivered(attempt)
        else:
            self.page_refused(attempt, refusal, again_at)
        assert self.page_steps(but=attempt.destination) == others

    def page_delivered(self, attempt: Attempt) -> None:
        pager, token = attempt.destination, attempt.token
        event: EventKind = "resolved" if attempt.step.event == "resolved" else "firing"
        in_time = self.incident.pagers[pager].holds(token)
        before = self.incident.next_step(pager)
        after = self.incident.delivered(pager, token, self.now, "202", event)
        step = after.next_step(pager)
        if event == "firing":
            self.out[pager] = True
            # Anyone who holds the claim: nobody pages again, and it is closed when all is over.
            assert (step is None) == (after.phase is not Phase.RESOLVED)
            assert step is None or step.event == "resolved"
        elif in_time:
            self.out[pager] = self.in_doubt[pager] = False
            assert step is None
        else:
            assert step == before
        self.becomes(after)

    def page_refused(self, attempt: Attempt, refusal: Outcome, again_at: datetime | None) -> None:
        pager, token, event = attempt.destination, attempt.token, attempt.step.event
        in_time = self.incident.pagers[pager].holds(token)
        before = self.incident.next_step(pager)
        after = self.incident.refused(pager, token, self.now, refusal, again_at)
        step = after.next_step(pager)
        if event == "firing" and in_time and refusal.uncertain:
            self.in_doubt[pager] = True
        if not in_time:
            assert step == before
        elif before is not None and before.event == event:
            # The same is still needed, and since the same moment; or it is given up.
            at = None if again_at is None else max(before.since, again_at)
            assert step == (None if at is None else replace(before, at=at))
        elif step is not None:
            # Resolved meanwhile: no pause holds up what is another event.
            assert (event, step.event, step.at) == ("firing", "resolved", self.incident.resolved_at)
        self.becomes(after)

    def notification_ended(
        self, attempt: Attempt, refusal: Outcome | None, again_at: datetime | None
    ) -> None:
        """As `app/delivery/notification_job.py` records it."""
        channel, through = attempt.destination, attempt.step.through
        before = after = self.delivery(channel)
        held = before.holds(attempt.token)
        over = refusal is None or (held and again_at is None)
        if held:
            after = before.refused(self.now, refusal, again_at) if refusal else before.succeeded()
        if over:
            after = replace(after, notified_through=max(after.notified_through, through))
        self.saves(channel, after)
        step = self.incident.next_step(channel, after)
        if over:
            # Only what is newer is left.
            assert step is None or step.through > through
        elif not held:
            assert step == self.incident.next_step(channel, before)
        elif step is None:
            # Another worker's message got through after its lease.
            assert before.notified_through >= through
        elif step.through == through:
            assert again_at is not None
            assert step.at == self.heard_at(again_at)
        else:
            # What happened since ends the pause.
            newest = next(one.at for one in self.incident.changes if one.sequence == step.through)
            assert step.at == self.heard_at(newest)

    # -- what holds at any time

    def check(self) -> None:
        self.a_step_may_be_claimed_from_its_time_on_and_not_before()
        self.it_moves_on_at_the_time_of_its_step_and_not_before()
        self.a_pager_is_sent_what_its_phase_says()
        self.the_state_is_that_of_the_pager_that_is_worst_off()
        self.the_queues_know_of_every_step()
        self.nothing_is_sent_before_a_silence_is_over()

    def nothing_is_sent_before_a_silence_is_over(self) -> None:
        """But for what is over, and for attempts that were under way when it began."""
        for destination, step in self.steps():
            over = self.incident.phase is Phase.RESOLVED
            quiet = (destination in CHANNELS and not over) or step.event == "firing"
            assert not quiet or step.at >= min(self.now, self.heard_at(step.at))

    def a_step_may_be_claimed_from_its_time_on_and_not_before(self) -> None:
        for pager in self.incident.pagers:
            self.claims_follow_the_step(
                self.incident.next_step(pager),
                lambda moment, pager=pager: self.incident.claimed(pager, "x", moment, LEASE).pagers[pager],
            )
        for channel in CHANNELS:
            delivery = self.delivery(channel)
            step = self.incident.next_step(channel, delivery)
            if step is not None:
                self.claims_follow_the_step(
                    step, lambda moment, one=delivery, step=step: one.claimed(step, "x", moment, LEASE)
                )

    def it_moves_on_at_the_time_of_its_step_and_not_before(self) -> None:
        step, incident = self.incident.next_step(ITSELF), self.incident
        ends = [end for end in (self.until, self.members_counted_at + REST) if end is not None]
        if self.acknowledged_at is not None and (self.until or self.joined):
            assert step is not None
            assert step.at <= max(ends)
        if step is None:
            with pytest.raises(InvalidTransition):
                incident.advanced(at(10**6))
            return
        with pytest.raises(InvalidTransition):
            incident.advanced(step.at - timedelta(microseconds=1))
        assert incident.advanced(step.at) != incident

    @staticmethod
    def claims_follow_the_step(step: Step | None, claims: object) -> None:
        assert callable(claims)
        if step is None:
            with pytest.raises(InvalidTransition):
                claims(at(10**6))
            return
        with pytest.raises(InvalidTransition):
            claims(step.at - timedelta(microseconds=1))
        for moment in (step.at, step.at + timedelta(microseconds=1), step.at + timedelta(days=3)):
            claimed = claims(moment)
            assert claimed.claim == Claim("x", step.event, moment + LEASE, step.through)

    def a_pager_is_sent_what_its_phase_says(self) -> None:
        incident = self.incident
        for pager in incident.pagers:
            step, delivery = incident.next_step(pager), incident.pagers[pager]
            has, may_have = self.out.get(pager, False), self.may_have_page(pager)
            if incident.phase is Phase.RESOLVED and delivery.given_up != "resolved":
                # Anyone who has the page, or may have it, hears that it is over; nobody else does.
                assert (step is not None) == may_have
                assert step is None or step.event == "resolved"
            elif incident.phase is Phase.PENDING:
                assert (step is not None) == (not has and delivery.given_up != "firing")
                assert step is None or step.event == "firing"
            else:
                assert step is None

    def the_state_is_that_of_the_pager_that_is_worst_off(self) -> None:
        if self.incident.phase is not Phase.PENDING:
            return
        states = {delivery.page_state for delivery in self.incident.pagers.values()}
        order = (State.FAILED, State.ESCALATING, State.PENDING, State.ESCALATED)
        assert self.incident.state is next(state for state in order if state in states)

    def the_queues_know_of_every_step(self) -> None:
        incident_id = self.incident.id
        due = {
            delivery_queue.member_of(incident_id, one): step.at.timestamp()
            for one, step in self.incident.steps()
        }
        assert self.queues.get(delivery_queue.DUE, {}) == due
        for pager in self.incident.pagers:
            member = delivery_queue.member_of(incident_id, pager)
            queued = self.queues.get(delivery_queue.QUEUE + pager, {})
            assert set(queued) == ({member} & set(due))
        assert set(self.queues.get(delivery_queue.NEXT_CHECK, {})) == set(due)
        for channel in CHANNELS:
            step = self.incident.next_step(channel, self.delivery(channel))
            queued = self.queues.get(notifications.QUEUE + channel, {})
            # Looked at too early it is put off; too late would be late.
            assert step is None or queued.get(incident_id, float("inf")) <= step.at.timestamp()

    # -- what the rules share

    def becomes(self, after: Incident) -> None:
        self.queue(delivery_queue.index(self.incident, after, enqueue_at=None))
        self.queue(notifications.index([(self.incident, after)]))
        self.incident = after

    def saves(self, channel: Destination, delivery: Delivery) -> None:
        self.deliveries[channel] = delivery
        self.queue(notifications.indexed(self.incident, channel, delivery))

    def queue(self, commands: Iterable[Command]) -> None:
        """Do to sorted sets in memory what these commands would do to Redis's."""
        for name, key, *args in commands:
            kept = self.queues.setdefault(str(key), {})
            if name == "ZREM":
                for member in args:
                    kept.pop(str(member), None)
            elif name == "ZADD" and args[0] == "XX":
                kept.update({str(args[2]): float(args[1])} if args[2] in kept else {})
            elif name == "ZADD":
                kept[str(args[1])] = float(args[0])

    def delivery(self, channel: Destination) -> Delivery:
        return self.deliveries.get(channel, Delivery())

    def may_have_page(self, pager: Destination) -> bool:
        claim = self.incident.pagers[pager].claim
        under_way = claim is not None and claim.event == "firing"
        return self.out.get(pager, False) or self.in_doubt.get(pager, False) or under_way

    def page_steps(self, but: Destination | None = None) -> list[tuple[Destination, Step]]:
        return [(pager, step) for pager, step in self.incident.steps() if pager != but]

    def steps(self, but: Destination | None = None) -> list[tuple[Destination, Step]]:
        """What all destinations are to be sent."""
        found = self.page_steps(but)
        for channel in CHANNELS:
            step = self.incident.next_step(channel, self.delivery(channel))
            if step is not None and channel != but:
                found.append((channel, step))
        return found


@st.composite
def incidents(draw: st.DrawFn) -> Incident:
    """One that has just come in."""
    wait = draw(waits)
    subscriptions = [draw(typical_subscription(channel)) for channel in CHANNELS]
    return Incident.opened(
        "i",
        Alert(title="x", source="test", severity=draw(few_severities)),
        NOW,
        due_at=None if wait is None else at(wait),
        pager=PAGER,
        subscriptions=tuple(subscriptions[: draw(st.integers(0, 3))]),
    )


Move = tuple[str, dict[str, object]]


def move(name: str, **arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Move]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


# Workers do most of it.
CLAIMS = [move("a_worker_claims", which=st.integers(0, 4)) for _ in range(4)]
ENDS = [
    move(
        "an_attempt_ends",
        which=st.integers(0, 4),
        refusal=st.none() | st.sampled_from(REFUSALS),
        pause=waits,
    )
    for _ in range(3)
]
OTHERS = [
    move("time_goes_by", seconds=st.sampled_from((1, 16, 900, 90_000))),
    move("acknowledge", minutes=st.sampled_from((None, None, 1, 30))),
    move("unacknowledge"),
    move("resolve"),
    move("escalate_now"),
    move("make_silence", minutes=st.sampled_from((1, 20, 2_000))),
    move("end_silence"),
    move("settle"),
    move(
        "repeat",
        severity=few_severities,
        wait=waits,
        pager=st.sampled_from((PAGER, INFRA)),
        asked=st.booleans(),
        members=few_members,
        ended=st.sets(st.sampled_from("abc"), max_size=2),
    ),
]


@settings(max_examples=300, deadline=None)
@given(incidents(), st.lists(st.one_of(*CLAIMS, *ENDS, *OTHERS), min_size=5, max_size=40))
def test_after_any_moves_nothing_changes_by_itself_before_the_next_step(
    incident: Incident, moves: list[Move]
) -> None:
    world = World(incident)
    world.check()
    for name, arguments in moves:
        getattr(world, name)(**arguments)
        world.check()
