"""Tells how a run went: a few lines, or all about the incident of which a rule was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tests.chaos.history import Event, Exchange, Fault, History, Life, Notification, Seen, moment_of
from tests.chaos.known import Known, lateness, webhook_of
from tests.chaos.outages import SPARE
from tests.chaos.rules import Violation
from tests.chaos.run import Result

CALM = 10.0
AROUND = 20.0
"""Faults this close to an incident, in seconds, are told with it."""
SHOWN = 3
"""Violations that are told in full."""


def summary(result: Result) -> dict[str, Any]:
    """One run in numbers."""
    plan, history = result.plan, result.history
    known = Known(history)
    pages = [known.accepted(incident, "firing") for incident in known.stored]
    certain = [exchange for exchange in history.exchanges if exchange.certain]
    return {
        "seed": plan.seed,
        "seconds": plan.seconds,
        "webhooks": len(plan.webhooks),
        "requests": len(history.exchanges),
        "unanswered": sum(exchange.status is None for exchange in history.exchanges),
        "refused": sum(exchange.status == 503 for exchange in history.exchanges),
        "incidents": len(history.records),
        "acknowledged": sum(exchange.action == "acknowledge" for exchange in certain),
        "resolved": sum(exchange.action in ("resolve", "resolved") for exchange in certain),
        "paged": sum(bool(one) for one in pages),
        "paged_directly": sum(exchange.status == 202 for exchange in history.exchanges),
        "pages_repeated": sum(max(0, len(one) - len({event.source for event in one})) for one in pages),
        "paged_at_two_sources": sum(len({event.source for event in one}) > 1 for one in pages),
        "reported_late": sum(bool(record.late) for record in history.records),
        "paged_by_the_fallback": sum(SPARE in {event.source for event in one} for one in pages),
        "silences": sum(exchange.action == "silence" for exchange in certain),
        "silences_ended": sum(exchange.action == "end_silence" for exchange in certain),
        "held": sum(map(known.is_held, known.stored)),
        "continued": sum(record.previous_id is not None for record in history.records),
        "attempts": len(history.events),
        "messages": sum(one.incident is not None for one in history.notifications),
        "summaries": sum(one.incident is None for one in history.notifications),
        "faults": dict(sorted(Counter(fault.kind for fault in history.faults).items())),
        "settled_after": round(history.ended_at - result.healed_at, 1),
        "late": percentiles(lateness(history)),
        "late_in_calm": percentiles(lateness(history, CALM)),
        "violations": sorted({violation.rule for violation in result.violations}),
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Of sorted values."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    found = {
        name: round(values[int(share * (len(values) - 1))], 3) for name, share in shares.items() if values
    }
    return {"count": len(values), **found}


def described(numbers: dict[str, Any]) -> str:
    """The numbers of a run on a few lines."""
    faults = ", ".join(f"{count} {kind}" for kind, count in numbers["faults"].items())
    counts = ["webhooks", "requests", "unanswered", "refused", "incidents", "acknowledged", "resolved"]
    pages = ["paged", "paged_directly", "paged_at_two_sources", "pages_repeated", "reported_late"]
    pages += ["paged_by_the_fallback", "silences", "silences_ended", "held", "continued", "attempts"]
    pages += ["messages", "summaries"]
    late = "; ".join(
        f"{title} " + ", ".join(f"{name} {value}" for name, value in numbers[which].items())
        for title, which in (("all:", "late"), (f"due {CALM:.0f} s after any fault:", "late_in_calm"))
    )
    return "\n".join(
        (
            f"seed {numbers['seed']}, {numbers['seconds']:.0f} s; settled {numbers['settled_after']} s later",
            "  " + ", ".join(f"{name.replace('_', ' ')} {numbers[name]}" for name in counts),
            "  " + ", ".join(f"{name.replace('_', ' ')} {numbers[name]}" for name in pages),
            f"  faults: {sum(numbers['faults'].values())} ({faults})",
            f"  seconds from due to paged: {late}",
        )
    )


def accusation(result: Result) -> str:
    """All about the first violations, and a line for each of the others."""
    lines: list[str] = []
    # Once something is certain, nobody waits for what time may still cure.
    violations = sorted(result.violations, key=lambda violation: violation.curable)
    for violation in violations[:SHOWN]:
        lines += _everything_about(violation, result.history, result.began_at)
        lines += [f"  {line}" for line in result.evidence.get(violation.incident or "", ())]
    for violation in violations[SHOWN:]:
        about = violation.incident or violation.marker
        cure = " Time might have cured it." if violation.curable else ""
        lines.append(f"{violation.rule}: {violation.sentence}{cure} ({about})")
    lines.append(
        f"seed {result.plan.seed}: {len(result.violations)} violations; everything is in {result.folder}"
    )
    return "\n".join(lines)


def _everything_about(violation: Violation, history: History, began_at: float) -> Iterator[str]:
    """The history of the incident that a violation is about, and the faults around it, line by line."""
    yield f"{violation.rule}: {violation.sentence}"
    yield f"  incident {violation.incident}, webhook {violation.marker}; seconds since the start:"
    known = Known(history)
    chosen = [exchange for exchange in history.exchanges if _concerns(exchange, violation, known)]
    events = known.events.get(violation.incident or "", [])
    messages = [one for one in history.notifications if one.incident == violation.incident]
    moments = [*map(moment_of, chosen), *map(moment_of, events), *map(moment_of, messages)]
    if not moments:
        return
    first, last = min(moments) - AROUND, max(moments) + AROUND
    faults = [fault for fault in history.faults if fault.ended_at >= first and fault.began_at <= last]
    lives = [life for life in history.lives if first <= life.at <= last]
    together: list[Exchange | Event | Fault | Life | Notification]
    together = [*chosen, *events, *messages, *faults, *lives]
    for one in sorted(together, key=moment_of):
        yield f"  {moment_of(one) - began_at:9.3f}  {type(one).__name__:8} {_shown(one, began_at)}"
    if record := known.records.get(violation.incident or ""):
        yield f"  record: {record}"


def _shown(one: Exchange | Event | Fault | Life | Notification, began_at: float) -> dict[str, Any]:
    """Without what is empty, and with times since the start."""
    fields = {name: value for name, value in asdict(one).items() if value not in (None, "", ())}
    for name, value in fields.items():
        if name.endswith("_at") or name in ("at", "through"):
            fields[name] = round(value - began_at, 3)
    if isinstance(one, Exchange) and one.incidents:
        fields["incidents"] = [_as_seen(seen, began_at) for seen in one.incidents]
    return fields


def _as_seen(seen: Seen, began_at: float) -> str:
    due = "never due" if seen.due_at is None else f"due at {seen.due_at - began_at:.3f}"
    return f"{seen.id} {seen.state}, {due}"


def _concerns(exchange: Exchange, violation: Violation, known: Known) -> bool:
    incident = violation.incident
    if incident is None:
        return violation.marker is not None and exchange.marker == violation.marker
    problems = {answer.problem for answer in known.answers.get(incident, ())} - {None}
    return (
        exchange.incident == incident
        or any(seen.id == incident for seen in exchange.incidents)
        or exchange.problem in problems
        or (violation.marker is not None and webhook_of(exchange.marker) == violation.marker)
    )
