"""What is counted in the step that writes an incident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.domain.alert import Alert
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.ingest.webhooks import SOURCES
from app.store import Store
from app.store.counters import MOST_SOURCES, Counters
from tests.fakes import INFRA

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
LEASE = timedelta(seconds=15)


def counters_of(store: Store) -> Counters:
    return store.snapshot(NOW, LEASE, LEASE, {}).counters


def put(store: Store, incident: Incident) -> Incident:
    unit = store.incidents.unit_of_work([incident.id])
    return store.incidents.update(unit, lambda unit: unit.save(incident), lambda *_: False)[0]


def opened(store: Store, incident_id: str, source: str = "grafana") -> Incident:
    alert = Alert(title="Disk full", source=source)
    return put(store, Incident.opened(incident_id, alert, NOW, due_at=NOW, pager=INFRA))


def claimed(incident: Incident, at: datetime = NOW) -> Incident:
    return incident.claimed(INFRA, "t", at, LEASE)


def refused(claimed: Incident, at: datetime, *, again: bool = True) -> Incident:
    outcome = Outcome("misconfigured", "It said 401.", "unauthorized")
    return claimed.refused(INFRA, "t", at, outcome, at + LEASE if again else None)


def test_incidents_are_counted_by_source_and_state(store: Store) -> None:
    first = opened(store, "a")
    opened(store, "b")
    opened(store, "c", source="a|b")
    again = Alert(title="Disk full", source="grafana")
    put(store, first.repeated(again, NOW, due_at=NOW, pager=INFRA, asked=False))
    put(store, first.resolved("somebody", NOW))
    counters = counters_of(store)
    assert counters.counts["created"] == {("grafana",): 2, ("a/b",): 1}
    assert counters.counts["received"][("grafana",)] == 3
    current = {labels: count for labels, count in counters.counts["current"].items() if count}
    assert current == {
        ("grafana", "pending"): 1,
        ("grafana", "resolved"): 1,
        ("a/b", "pending"): 1,
    }


def test_a_page_is_counted_once_with_how_late_it_was(store: Store) -> None:
    incident = opened(store, "a")
    at = NOW + timedelta(seconds=2)
    delivered = put(store, put(store, claimed(incident, at)).delivered(INFRA, "t", at, "202"))
    put(store, delivered.acknowledged("somebody", at))
    counters = counters_of(store)
    assert counters.counts["pages"] == {("delivered", "infra"): 1}
    assert counters.counts["attempts"] == {("infra",): 1}
    assert (counters.late_sum, counters.last_page) == (2.0, at.timestamp())
    assert counters.counts["late"] == {("2.5",): 1}


def test_failed_attempts_are_counted_by_reason_and_a_failure_once(store: Store) -> None:
    incident = opened(store, "a")
    for minute in (0, 5, 10):
        at = NOW + timedelta(minutes=minute)
        incident = put(store, refused(put(store, claimed(incident, at)), at))
    counters = counters_of(store)
    assert counters.counts["retries"] == {("unauthorized", "infra"): 3}
    assert counters.counts["pages"] == {("failed", "infra"): 1}


def test_who_gives_up_says_so_and_the_last_attempt_counts_too(store: Store) -> None:
    incident = put(store, claimed(opened(store, "a")))
    put(store, refused(incident, NOW, again=False))
    counters = counters_of(store)
    assert counters.counts["pages"] == {("gave_up", "infra"): 1}
    assert counters.counts["retries"] == {("unauthorized", "infra"): 1}


def test_a_failed_attempt_counts_though_somebody_was_faster(store: Store) -> None:
    acknowledged = put(store, claimed(opened(store, "a"))).acknowledged("somebody", NOW)
    put(store, refused(put(store, acknowledged), NOW))
    resolved = put(store, claimed(opened(store, "b"))).resolved("somebody", NOW)
    put(store, refused(put(store, resolved), NOW))
    counters = counters_of(store)
    assert counters.counts["retries"] == {("unauthorized", "infra"): 2}
    assert counters.counts["pages"] == {}


def test_a_page_after_a_failed_attempt_counts_the_attempt_once(store: Store) -> None:
    incident = put(store, refused(put(store, claimed(opened(store, "a"))), NOW))
    at = NOW + LEASE
    put(store, put(store, claimed(incident, at)).delivered(INFRA, "t", at, "202"))
    counters = counters_of(store)
    assert counters.counts["retries"] == {("unauthorized", "infra"): 1}
    assert counters.counts["pages"][("delivered", "infra")] == 1


def test_nothing_counted_is_nothing(store: Store) -> None:
    counters = counters_of(store)
    assert (counters.counts, counters.last_page) == ({}, None)


def test_strangers_can_not_make_any_number_of_sources(store: Store) -> None:
    for n in range(MOST_SOURCES + 20):
        opened(store, str(n), source=f"source {n}")
    created = counters_of(store).counts["created"]
    assert len(created) == MOST_SOURCES + 1
    assert created[("other",)] == 20


def test_no_invented_name_takes_the_place_of_a_sender(redis_url: str) -> None:
    store = Store(redis_url, sources=SOURCES)
    for n in range(MOST_SOURCES):
        opened(store, str(n), source=f"source {n}")
    opened(store, "a", source="alertmanager")
    created = counters_of(store).counts["created"]
    assert created[("alertmanager",)] == 1
    assert len(created) == MOST_SOURCES + 1


def test_a_source_that_another_process_met_first_is_known(store: Store, redis_url: str) -> None:
    incident = opened(store, "a")
    put(Store(redis_url), incident.resolved("somebody", NOW))
    current = {labels: count for labels, count in counters_of(store).counts["current"].items() if count}
    assert current == {("grafana", "resolved"): 1}


def test_all_processes_count_a_source_under_one_name(store: Store, redis_url: str) -> None:
    another = Store(redis_url)
    opened(another, "first", source="early")
    for n in range(99):
        opened(store, str(n), source=f"source {n}")
    late = opened(store, "late", source="late")
    opened(another, "later", source="late")
    put(another, late.resolved("ops", NOW))
    current = {labels: count for labels, count in counters_of(store).counts["current"].items() if count}
    assert {labels: current[labels] for labels in current if labels[0] in ("late", "other")} == {
        ("other", "pending"): 1,
        ("other", "resolved"): 1,
    }


def test_dropped_log_lines_of_all_processes_are_one_number(store: Store, redis_url: str) -> None:
    for one, lines in ((store, 3), (Store(redis_url), 4), (store, 0)):
        one.count_lost(lines, 10 * lines)
    assert counters_of(store).log_dropped == 7
    assert counters_of(store).webhooks_refused == 70
