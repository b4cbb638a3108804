"""One run: start everything, play the plan, heal, wait until nothing is left to send, judge."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from tests.chaos.audience import Audience
from tests.chaos.checker import check, somebody_is_paged_if_any_of_the_chain_takes_events
from tests.chaos.excuses import LOST_DATA
from tests.chaos.faults import Breaker
from tests.chaos.history import Event, Fault, History, Record, marker_in
from tests.chaos.known import Known
from tests.chaos.load import Load, moment
from tests.chaos.outages import ASKED_FOR, LATE_AFTER, OUTAGE
from tests.chaos.plan import LONGEST_WAIT, Plan
from tests.chaos.platform import NotStarted, Platform
from tests.chaos.rules import Violation
from tests.chaos.second_provider import events as pagerduty_events

SETTLED_WITHIN = 180.0
# After the last incident was due, before anything is judged: what must not come would have come by then.
QUIET = 3.0
POLL = 1.0
SPELL = LATE_AFTER + 8.0
"""Seconds for which incident.io stays out at the end, at least; in the last of them pages are late."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run."""

    plan: Plan
    history: History
    violations: list[Violation]
    began_at: float
    healed_at: float
    folder: Path
    evidence: dict[str, list[str]]
    """For an incident of which a rule was broken, its timeline and the log lines that name it."""


def run(plan: Plan, folder: Path | None = None, settled_within: float = SETTLED_WITHIN) -> Result:
    """Play a plan to its end; `settled_within`: seconds, see `_settle`. Raises `NotStarted`."""
    folder = folder or Path(tempfile.mkdtemp(prefix="versus-chaos-"))
    history = History()
    with _running(plan, folder, history) as platform:
        platform.wait_until_ready()
        began_at = time.time()
        audience = Audience(platform.bases, lambda web: platform.webs[web].secret)
        with audience.watching():
            healed_at = _play(plan, platform, began_at, settled_within)
        if not any(audience.changes):
            raise NotStarted("No open page ever changed, so nobody really watched.")
        history, violations = _settle(platform, healed_at, settled_within)
        guilty = {violation.incident for violation in violations if violation.incident is not None}
        evidence = {incident: list(_evidence(platform, incident)) for incident in sorted(guilty)[:10]}
    history.write(folder / "history.jsonl")
    return Result(plan, history, violations, began_at, healed_at, folder, evidence)


@contextmanager
def _running(plan: Plan, folder: Path, history: History) -> Iterator[Platform]:
    platform = Platform(folder, history, children=plan.children, max_per_minute=plan.max_per_minute)
    try:
        yield platform
    finally:
        platform.stop()


def _play(plan: Plan, platform: Platform, began_at: float, within: float) -> float:
    """Faults and load at the same time; returns when all was healed, with the last deeds done."""
    breaker = Breaker(platform)
    ended_at = began_at + plan.seconds
    last = ended_at + LONGEST_WAIT
    load = threading.Thread(
        target=Load(platform).run_until_done, args=(began_at, plan, last), name="load", daemon=True
    )
    load.start()
    try:
        for fault in plan.faults:
            _sleep_until(began_at + fault.at)
            breaker.begin(fault)
        _sleep_until(ended_at)
    finally:
        breaker.heal()
    healed_at = _without_incident_io(platform, within)
    load.join()
    return healed_at


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


# -- afterwards ------------------------------------------------------------------------------------------


def _without_incident_io(platform: Platform, within: float) -> float:
    """All is healed but incident.io until the fallback has paged for what is late; when that began."""
    platform.simulator.out.update(ASKED_FOR)
    healed_at = time.time()
    _sleep_until(healed_at + SPELL)
    while True:
        history = _without_timelines(platform)
        history.spare_alone_until = until = history.ended_at + QUIET
        missing = list(somebody_is_paged_if_any_of_the_chain_takes_events(Known(history)))
        if (history.records and not missing) or until > healed_at + within:
            break
        time.sleep(POLL)
    platform.simulator.out.clear()
    platform.history.spare_alone_until = until
    outage = Fault(kind=OUTAGE, began_at=healed_at, ended_at=time.time(), detail=f"sources={ASKED_FOR}")
    platform.history.faults.append(outage)
    return healed_at


def _settle(platform: Platform, healed_at: float, within: float) -> tuple[History, list[Violation]]:
    """Wait until no rule is broken, or until waiting won't help."""
    # Waits are either short, or so long that they end after any run.
    soon = healed_at + 2 * LONGEST_WAIT
    _sleep_until(max((due for due in _due(platform.history) if due < soon), default=0.0) + QUIET)
    while True:
        _see_to_losses(platform)
        history = _snapshot(platform)
        violations = check(history)
        # Without the records, as while a web process starts, nothing is certain.
        hopeless = bool(history.records) and any(not violation.curable for violation in violations)
        if not violations or hopeless or time.time() > healed_at + within:
            return history, violations
        time.sleep(POLL)


def _see_to_losses(platform: Platform) -> None:
    """Acknowledge what was paged for lost data: the service is not ready before somebody does."""
    with contextlib.suppress(requests.RequestException):
        for one in _get(platform, "", source="versus", state="escalated", limit="500")["incidents"]:
            if one["title"].startswith(LOST_DATA):
                requests.post(
                    f"{platform.bases[0]}/api/incidents/{one['id']}/ack",
                    headers={"X-Gateway-Secret": platform.webs[0].secret},
                    timeout=30,
                ).raise_for_status()


def _due(history: History) -> Iterator[float]:
    for exchange in history.exchanges:
        yield from (seen.due_at for seen in exchange.incidents if seen.due_at is not None)


def _snapshot(platform: Platform) -> History:
    """The history so far, with the records as they are now, and the timelines of those that need a look."""
    history = _without_timelines(platform)
    wanted = {key for key, events in Known(history).events.items() if _is_worth_a_look(events)}
    wanted |= {one.incident or "" for one in history.notifications if one.event == "late"}
    history.records = [
        _with_timeline(platform, record) if record.id in wanted else record for record in history.records
    ]
    return history


def _without_timelines(platform: Platform) -> History:
    now = time.time()
    complaints = [platform.complaint(web) for web in range(len(platform.bases))]
    history = replace(
        platform.history,
        exchanges=list(platform.history.exchanges),
        not_ready=next((complaint for complaint in complaints if complaint is not None), None),
        ended_at=now - QUIET,
    )
    try:
        history.records = list(_records(platform))
    except requests.RequestException as error:
        history.not_ready = f"the incidents can't be listed ({type(error).__name__})"
    # Last, so that no record speaks of an event that is not here.
    titles = {record.id: record.title for record in history.records}
    history.events = [*_events(platform), *pagerduty_events(platform.pagerduty, titles)]
    history.lives = list(platform.history.lives)
    history.notifications = list(platform.history.notifications)
    history.last_resorts = list(platform.history.last_resorts)
    return history


def _events(platform: Platform) -> Iterator[Event]:
    for request in list(platform.simulator.requests):
        body = request.body if isinstance(request.body, dict) else {}
        title = str(body.get("metadata", {}).get("alert_title", ""))
        yield Event(
            at=request.at,
            key=str(body.get("deduplication_key")),
            kind=str(body.get("status")),
            source=str(request.source),
            accepted=request.accepted,
            status=request.status,
            marker=marker_in(title),
            title=title,
        )


def _records(platform: Platform) -> Iterator[Record]:
    cursor: str | None = None
    while True:
        page = _get(platform, "", limit="500", **({} if cursor is None else {"cursor": cursor}))
        for one in page["incidents"]:
            yield Record(
                id=one["id"],
                state=one["state"],
                title=one["title"],
                due_at=moment(one["due_at"]),
                acknowledged_at=moment(one["acknowledged_at"]),
                escalated_at=moment(one["escalated_at"]),
                resolved_at=moment(one["resolved_at"]),
                attempts=one["attempts"],
                created_at=moment(one["created_at"]) or 0.0,
                previous_id=one["previous_id"],
            )
        cursor = page["cursor"]
        if cursor is None:
            return


def _is_worth_a_look(events: list[Event]) -> bool:
    """There was more than one page, and that was taken."""
    return len({event.kind for event in events}) > 1 or not all(event.accepted for event in events)


def _with_timeline(platform: Platform, record: Record) -> Record:
    try:
        timeline = _get(platform, f"/{record.id}")["timeline"]
    except requests.RequestException:
        return record
    late = tuple(moment(entry["at"]) or 0.0 for entry in timeline if entry["event"] == "late")
    return replace(record, timeline=tuple(entry["event"] for entry in timeline), late=late)


def _get(platform: Platform, path: str, **parameters: str) -> dict[str, Any]:
    answer = requests.get(
        f"{platform.bases[0]}/api/incidents{path}",
        params=parameters,
        headers={"X-Gateway-Secret": platform.webs[0].secret},
        timeout=30,
    )
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def _evidence(platform: Platform, incident: str) -> Iterator[str]:
    try:
        for entry in _get(platform, f"/{incident}")["timeline"]:
            yield "timeline  {at}  {event}  {detail}".format(**entry)
    except requests.RequestException as error:
        yield f"timeline: {error}"
    yield from platform.log_lines(incident)
