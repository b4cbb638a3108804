"""An incident that two alert sources are asked to page for: each is paged, and told the end, for itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import redis

from app import actions
from app.bootstrap import Services
from app.delivery.pages import deliver
from app.destinations.base import PagerEvent
from app.domain.alert import Alert, Effect
from app.domain.delivery import Delivery, Destination, InvalidTransition, Outcome, Step
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.domain.state import State
from app.ingest.service import Options, ReceivedAlert, receive
from app.store.delivery_queue import DUE, FAILING, NEXT_CHECK, QUEUE
from app.task_queue import TaskQueue
from tests.fakes import DELIVERED, INFRA, PAGER, Clock, RecordingProvider

SERVER_ERROR = Outcome("try_again", "500", "server_error")
TIMEOUT = Outcome("try_again", "no answer", "timeout", uncertain=True)
NOT_FOUND = Outcome("misconfigured", "404", "not_found")
LEASE = timedelta(seconds=15)
NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
ALERT = Alert(title="Disk full", source="generic", identity="k")


class RecordingTaskQueue(TaskQueue):
    """Keeps messages instead of publishing them."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, float, list[Destination], str | None]] = []

    def enqueue(
        self, incident_id: str, wait: float, pagers: Sequence[Destination] = (), title: str | None = None
    ) -> bool:
        self.messages.append((incident_id, wait, list(pagers), title))
        return True

    def work_off(self, services: Services) -> None:
        """Do what the workers do that get these messages, and those that come of it."""
        for _ in range(10):
            messages, self.messages = self.messages, []
            for incident_id, _, pagers, title in messages:
                deliver(services, incident_id, pagers, title)
        assert self.messages == []


@pytest.fixture
def task_queue() -> RecordingTaskQueue:
    return RecordingTaskQueue()


@pytest.fixture
def services(services: Services, task_queue: RecordingTaskQueue) -> Services:
    """Services whose messages are kept."""
    return dataclasses.replace(services, task_queue=task_queue)


def reported(services: Services, effect: Effect = Effect.FIRING, **options: float | str) -> Incident:
    alert = dataclasses.replace(ALERT, effect=effect)
    [one] = receive(services, [ReceivedAlert(alert, "{}")], Options(**options))  # type: ignore[arg-type]
    assert one.incident is not None
    return one.incident


def read(services: Services, incident_id: str) -> Incident:
    return services.store.incidents.require(incident_id)


def sent(provider: RecordingProvider) -> list[tuple[str, str]]:
    """(kind, alert source) of every event, in order."""
    return [(event.kind, event.alert_source) for event in provider.events]


def answers(provider: RecordingProvider, **by_alert_source: Outcome) -> None:
    """Let each alert source answer this from now on; the others take what they get."""

    def answer(event: PagerEvent) -> None:
        provider.outcomes = [by_alert_source.get(event.alert_source, DELIVERED)]

    provider.meanwhile = answer


@pytest.fixture
def both(services: Services, clock: Clock) -> str:
    """The ID of an incident that is due now at two alert sources."""
    reported(services, wait_minutes=3)
    incident = reported(services, alert_source="infra")
    clock.wind(minutes=3)
    return incident.id


# -- who is paged, and when -----------------------------------------------------------------------------


def test_a_repeat_that_names_another_alert_source_adds_it(services: Services, clock: Clock) -> None:
    first = reported(services, wait_minutes=3)
    clock.wind(minutes=1)
    incident = reported(services, wait_minutes=3, alert_source="infra")
    assert incident.id == first.id
    assert list(incident.pagers) == [PAGER, INFRA]
    [added] = [entry for entry in incident.timeline if entry.event == "pager_added"]
    assert (added.at, added.detail) == (clock.now, "incident_io/infra")
    # The wait is the incident's: both are paged when it is over.
    assert first.due_at is not None
    step = Step("firing", first.due_at, first.due_at)
    assert dict(incident.steps()) == {PAGER: step, INFRA: step}
    assert (incident.state, incident.alert_source) == (State.PENDING, "default")


@pytest.mark.parametrize("options", [{}, {"alert_source": "default"}, {"oncall_enable": False}])
def test_a_repeat_that_names_no_other_alert_source_adds_none(
    services: Services, options: dict[str, bool | str]
) -> None:
    reported(services, alert_source="default")
    incident = reported(services, **options)  # type: ignore[arg-type]
    assert (list(incident.pagers), incident.occurrences) == ([PAGER], 2)
    assert "pager_added" not in [entry.event for entry in incident.timeline]


def test_a_repeat_that_does_not_ask_to_page_adds_none(services: Services) -> None:
    reported(services)
    incident = reported(services, alert_source="infra", oncall_enable=False)
    assert list(incident.pagers) == [PAGER]


def test_an_alert_source_is_added_once(services: Services, clock: Clock) -> None:
    reported(services)
    added = reported(services, alert_source="infra")
    clock.wind(minutes=1)
    again = reported(services, alert_source="infra")
    assert again.pagers == added.pagers
    assert [entry.event for entry in again.timeline].count("pager_added") == 1


def test_one_that_is_added_after_the_page_is_paged_at_once(
    services: Services, clock: Clock, provider: RecordingProvider, task_queue: RecordingTaskQueue
) -> None:
    reported(services, wait_minutes=0)
    task_queue.work_off(services)
    clock.wind(minutes=10)
    incident = reported(services, alert_source="infra")
    assert dict(incident.steps()) == {INFRA: Step("firing", clock.now, clock.now)}
    # Somebody who was asked for has not been paged.
    assert incident.state is State.PENDING
    [(_, wait, _, _)] = task_queue.messages
    assert wait == 0
    task_queue.work_off(services)
    assert sent(provider) == [("firing", "default"), ("firing", "infra")]
    assert read(services, incident.id).state is State.ESCALATED


def test_one_that_is_added_to_an_acknowledged_incident_is_not_paged_until_somebody_asks(
    services: Services, provider: RecordingProvider, task_queue: RecordingTaskQueue
) -> None:
    first = reported(services, wait_minutes=0)
    task_queue.work_off(services)
    actions.acknowledge(services, first.id, "ops")
    incident = reported(services, alert_source="infra")
    assert (incident.state, list(incident.steps())) == (State.ACKNOWLEDGED, [])
    deliver(services, first.id)
    assert sent(provider) == [("firing", "default")]
    actions.escalate_now(services, first.id, "ops")
    task_queue.work_off(services)
    assert sent(provider) == [("firing", "default"), ("firing", "infra")]


# -- each for itself ------------------------------------------------------------------------------------


def test_each_is_paged_with_the_same_key(services: Services, provider: RecordingProvider, both: str) -> None:
    deliver(services, both, [INFRA])
    deliver(services, both, [PAGER])
    deliver(services, both)
    assert sent(provider) == [("firing", "infra"), ("firing", "default")]
    assert {event.incident.id for event in provider.events} == {both}
    incident = read(services, both)
    assert (incident.state, incident.attempts, list(incident.steps())) == (State.ESCALATED, 2, [])


def test_one_message_is_enough_for_both(
    services: Services, clock: Clock, provider: RecordingProvider, task_queue: RecordingTaskQueue
) -> None:
    reported(services, wait_minutes=3)
    incident = reported(services, alert_source="infra")
    last = task_queue.messages[-1]
    assert last == (incident.id, 180.0, [PAGER, INFRA], "Disk full")
    clock.wind(minutes=3)
    # The message of the first webhook, which knows of one alert source, is lost.
    task_queue.messages = []
    deliver(services, incident.id, last[2], last[3])
    assert sent(provider) == [("firing", "default")]
    assert task_queue.messages == [(incident.id, 0, [INFRA], "Disk full")]
    task_queue.work_off(services)
    assert sent(provider) == [("firing", "default"), ("firing", "infra")]
    assert read(services, incident.id).state is State.ESCALATED


def test_what_no_message_comes_for_is_handed_out_for_each(
    services: Services, clock: Clock, both: str
) -> None:
    clock.wind(seconds=1)
    entries = services.store.delivery_queue.next_checks(clock.now, 500)
    assert {(entry.incident_id, entry.pager) for entry in entries} == {(both, PAGER), (both, INFRA)}


def test_one_that_hangs_does_not_hold_up_the_other(
    services: Services, provider: RecordingProvider, task_queue: RecordingTaskQueue, both: str
) -> None:
    seen: list[tuple[State, list[tuple[str, str]]]] = []

    def hang(event: PagerEvent) -> None:
        if event.alert_source == "default":
            task_queue.work_off(services)
            seen.append((read(services, both).state, sent(provider)))

    provider.meanwhile = hang
    task_queue.messages = []
    deliver(services, both)
    # While the first waited for its answer, the second was paged; the first's attempt still counts.
    assert seen == [(State.ESCALATING, [("firing", "default"), ("firing", "infra")])]
    assert read(services, both).state is State.ESCALATED


def test_both_at_the_same_instant_lose_nothing(
    services: Services, provider: RecordingProvider, both: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(deliver, services, both, [pager]) for pager in (PAGER, INFRA) * 4]:
            done.result()
    assert sorted(sent(provider)) == [("firing", "default"), ("firing", "infra")]
    incident = read(services, both)
    assert {delivery.accepted for delivery in incident.pagers.values()} == {"firing"}
    assert [entry.event for entry in incident.timeline].count("escalated") == 2


@pytest.mark.parametrize("bad", ["default", "infra"])
@pytest.mark.parametrize(
    ("outcome", "state", "pause"), [(SERVER_ERROR, State.ESCALATING, 1.25), (NOT_FOUND, State.FAILED, 300)]
)
def test_one_that_fails_does_not_hold_the_other_and_the_state_is_that_of_the_worst(
    services: Services,
    clock: Clock,
    provider: RecordingProvider,
    both: str,
    bad: str,
    outcome: Outcome,
    state: State,
    pause: float,
) -> None:
    answers(provider, **{bad: outcome})
    for pager in (PAGER, INFRA):
        deliver(services, both, [pager])
    assert sorted(sent(provider)) == [("firing", "default"), ("firing", "infra")]
    incident = read(services, both)
    assert (incident.state, incident.last_error) == (state, outcome.detail)
    assert [pager.address for pager, _ in incident.steps() if pager != ITSELF] == [bad]
    assert incident.escalated_at == clock.now
    # The one that has it is not asked again, and its success ends no pause of the other.
    clock.wind(seconds=pause)
    answers(provider)
    deliver(services, both)
    deliver(services, both)
    assert sent(provider)[2:] == [("firing", bad)]
    incident = read(services, both)
    assert (incident.state, incident.last_error, list(incident.steps())) == (State.ESCALATED, None, [])


WAITS = Delivery()
SENDS = Delivery(failures=2, retry_at=NOW)
REFUSED_FOR_GOOD = Delivery(failed=True, failed_at=NOW, failures=1, retry_at=NOW, last_error="404")
HAS_IT = Delivery(accepted="firing", accepted_at=NOW)


@pytest.mark.parametrize(
    ("one", "other", "state"),
    [
        (WAITS, WAITS, State.PENDING),
        (HAS_IT, HAS_IT, State.ESCALATED),
        (HAS_IT, WAITS, State.PENDING),
        (WAITS, SENDS, State.ESCALATING),
        (HAS_IT, SENDS, State.ESCALATING),
        (SENDS, REFUSED_FOR_GOOD, State.FAILED),
        (HAS_IT, REFUSED_FOR_GOOD, State.FAILED),
        (WAITS, REFUSED_FOR_GOOD, State.FAILED),
    ],
)
def test_the_worse_of_two_is_the_state(one: Delivery, other: Delivery, state: State) -> None:
    incident = Incident.opened("i", ALERT, NOW, due_at=NOW, pager=PAGER)
    for pagers in ({PAGER: one, INFRA: other}, {PAGER: other, INFRA: one}):
        incident = dataclasses.replace(incident, pagers=pagers)
        assert incident.state is state
        assert incident.last_error == ("404" if state is State.FAILED else None)
        # Somebody acknowledges: then that is the state, anyone who was worst off.
        assert incident.acknowledged("ops", NOW).state is State.ACKNOWLEDGED


def test_a_pause_that_one_asks_for_is_not_for_the_other(
    services: Services, clock: Clock, provider: RecordingProvider, both: str
) -> None:
    full = Outcome("try_again", "429", "rate_limited", not_before=30, back_off_all=True)
    answers(provider, default=full)
    deliver(services, both, [PAGER])
    deliver(services, both, [INFRA])
    assert sent(provider) == [("firing", "default"), ("firing", "infra")]
    answers(provider)
    clock.wind(seconds=29)
    deliver(services, both, [PAGER])
    assert len(provider.events) == 2
    clock.wind(seconds=2)
    deliver(services, both, [PAGER])
    assert sent(provider)[2:] == [("firing", "default")]


def test_each_page_is_counted(services: Services, provider: RecordingProvider, both: str) -> None:
    answers(provider, infra=NOT_FOUND)
    deliver(services, both, [PAGER])
    deliver(services, both, [INFRA])
    counters = services.store.snapshot(services.clock(), LEASE, LEASE, {}).counters
    assert counters.counts["pages"] == {("delivered", "default"): 1, ("failed", "infra"): 1}
    assert counters.counts["attempts"] == {("default",): 1, ("infra",): 1}
    current = {labels: count for labels, count in counters.counts["current"].items() if count}
    assert current == {("generic", "failed"): 1}


# -- what ends it ---------------------------------------------------------------------------------------


def test_an_acknowledgement_is_for_both(
    services: Services, provider: RecordingProvider, task_queue: RecordingTaskQueue, both: str
) -> None:
    provider.meanwhile = lambda event: actions.acknowledge(services, both, "ops")
    deliver(services, both)
    task_queue.work_off(services)
    assert sent(provider) == [("firing", "default")]
    assert read(services, both).state is State.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("infra", "stated"),
    [
        (DELIVERED, ["default", "infra"]),
        # It may have the page.
        (TIMEOUT, ["default", "infra"]),
        # It surely has not.
        (SERVER_ERROR, ["default"]),
        (NOT_FOUND, ["default"]),
        # It was never tried.
        (None, ["default"]),
    ],
)
def test_the_resolve_event_goes_to_each_that_has_the_page_or_may_have_it(
    services: Services,
    clock: Clock,
    provider: RecordingProvider,
    task_queue: RecordingTaskQueue,
    both: str,
    infra: Outcome | None,
    stated: list[str],
) -> None:
    answers(provider, **({} if infra is None else {"infra": infra}))
    deliver(services, both, [PAGER])
    if infra is not None:
        deliver(services, both, [INFRA])
    answers(provider)
    task_queue.messages = []
    incident = reported(services, Effect.RESOLVED)
    assert sorted(pager.address or "" for pager, _ in incident.steps()) == stated
    provider.events = []
    task_queue.work_off(services)
    clock.wind(minutes=10)
    deliver(services, both)
    assert sorted(sent(provider)) == [("resolved", name) for name in stated]
    assert read(services, both).is_over


def test_it_is_over_when_the_last_has_the_resolve_event(
    services: Services, clock: Clock, provider: RecordingProvider, task_queue: RecordingTaskQueue, both: str
) -> None:
    for pager in (PAGER, INFRA):
        deliver(services, both, [pager])
    actions.resolve(services, both, "ops")
    answers(provider, default=SERVER_ERROR)
    task_queue.work_off(services)
    incident = read(services, both)
    assert [(pager, step.event) for pager, step in incident.steps()] == [(PAGER, "resolved")]
    assert not incident.is_over
    answers(provider)
    clock.wind(seconds=2)
    deliver(services, both)
    assert sent(provider)[2:].count(("resolved", "infra")) == 1
    assert sent(provider)[-1] == ("resolved", "default")
    assert read(services, both).is_over


def test_what_is_over_is_on_no_list(
    services: Services, clock: Clock, provider: RecordingProvider, redis_url: str, both: str
) -> None:
    answers(provider, infra=TIMEOUT, default=SERVER_ERROR)
    for pager in (PAGER, INFRA):
        deliver(services, both, [pager])
    answers(provider)
    actions.resolve(services, both, "ops")
    clock.wind(minutes=1)
    deliver(services, both)
    assert sent(provider)[2:] == [("resolved", "infra")]
    client = redis.Redis.from_url(redis_url)
    assert [client.zcard(key) for key in (DUE, NEXT_CHECK, FAILING, QUEUE + PAGER, QUEUE + INFRA)] == [0] * 5
    for pager in (PAGER, INFRA, ITSELF):
        assert services.store.delivery_queue.turns({pager: []}, clock.now, 500) == []
    assert services.store.delivery_queue.pagers(clock.now) == []


# -- page now, giving up, a lost record -----------------------------------------------------------------


def test_escalate_now_pages_anyone_who_has_no_page(
    services: Services, provider: RecordingProvider, both: str
) -> None:
    deliver(services, both, [PAGER])
    actions.acknowledge(services, both, "ops")
    assert list(actions.escalate_now(services, both, "ops").steps()) == [
        (INFRA, Step("firing", services.clock(), services.clock()))
    ]
    deliver(services, both)
    assert sent(provider) == [("firing", "default"), ("firing", "infra")]
    with pytest.raises(InvalidTransition, match="already"):
        actions.escalate_now(services, both, "ops")


def two(one: Delivery, other: Delivery) -> Incident:
    opened = Incident.opened("i", ALERT, NOW, due_at=NOW, pager=PAGER)
    return dataclasses.replace(opened, pagers={PAGER: one, INFRA: other})


def test_a_repeat_waits_anew_for_what_was_given_up_unless_something_is_still_tried() -> None:
    given_up = Delivery(failed=True, failed_at=NOW, failures=9, given_up="firing")
    later = NOW + timedelta(days=2)
    for has in (HAS_IT, given_up):
        again = two(given_up, has).repeated(ALERT, later, due_at=later, pager=PAGER, asked=False)
        wanted = [PAGER] if has is HAS_IT else [PAGER, INFRA]
        assert list(again.steps()) == [(pager, Step("firing", later, later)) for pager in wanted]
    tried = two(given_up, SENDS).repeated(ALERT, later, due_at=later, pager=PAGER, asked=False)
    assert list(tried.steps()) == [(INFRA, Step("firing", NOW, NOW))]


def test_a_message_without_a_record_pages_both(
    services: Services, provider: RecordingProvider, task_queue: RecordingTaskQueue
) -> None:
    deliver(services, "gone", [PAGER, INFRA], "Disk full")
    task_queue.work_off(services)
    assert sorted(set(sent(provider))) == [("firing", "default"), ("firing", "infra")]
    assert len(provider.events) == 2
    incident = read(services, "gone")
    assert (incident.state, list(incident.pagers)) == (State.ESCALATED, [PAGER, INFRA])


@pytest.mark.parametrize("outcome", [DELIVERED, SERVER_ERROR])
def test_a_pager_that_joins_during_an_attempt_is_paged_though_the_record_is_lost_then(
    services: Services, provider: RecordingProvider, redis_url: str, outcome: Outcome
) -> None:
    due = reported(services, wait_minutes=0).id

    def joined_and_lost(event: PagerEvent) -> None:
        reported(services, alert_source="infra")
        redis.Redis.from_url(redis_url).delete(f"versus:incident:{due}")

    provider.outcomes, provider.meanwhile = [outcome], joined_and_lost
    deliver(services, due, [PAGER])
    provider.meanwhile = lambda event: None
    assert list(read(services, due).pagers) == [PAGER, INFRA]
    deliver(services, due, [INFRA])
    assert sent(provider) == [("firing", "default"), ("firing", "infra")]
    assert read(services, due).pagers[INFRA].has_page


def test_a_channel_that_joined_a_lost_record_stays_a_last_resort() -> None:
    channel = Destination("channel/ops")
    joined = two(Delivery(), Delivery()).joined_by([ITSELF, INFRA, channel], NOW)
    assert list(joined.pagers) == [PAGER, INFRA, channel]
    assert list(joined.chains.targets) == [PAGER, INFRA]
