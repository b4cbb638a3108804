"""Judges a history: pure rules, each a small function that yields what it finds wrong.

They are about order and outcome, never about speed. What nobody can know (a request without an answer may
have been done, and may be done later) makes both outcomes right; what was answered is exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from tests.chaos.chain_rules import OF_CHAINS
from tests.chaos.excuses import Excuses
from tests.chaos.history import Event, History, Record
from tests.chaos.known import Known, webhook_of
from tests.chaos.outages import LATE_AFTER, SPARE
from tests.chaos.provider_rules import OF_PROVIDERS, harms
from tests.chaos.reopening_rules import OF_REOPENING
from tests.chaos.rules import CLOCK, HARMLESS, REACH, ROUNDED, Rule, Violation, meets
from tests.chaos.silence_rules import OF_SILENCES

STATUSES: dict[str, frozenset[int]] = {
    "firing": frozenset({200, 201, 202, 503}),
    "resolved": frozenset({200, 503}),
    "refused": frozenset({400, 503}),
    "acknowledge": frozenset({200, 409, 503}),
    "unacknowledge": frozenset({200, 409, 503}),
    "resolve": frozenset({200, 503}),
    "escalate_now": frozenset({200, 409, 503}),
    # Redis may have lost it, and a new secret may not be known yet.
    "silence": frozenset({201, 401, 503}),
    "end_silence": frozenset({200, 401, 404, 503}),
}

# What a sender waits for an answer, and a little; so many without one are no accident.
PATIENCE = 13.0
ENOUGH = 5

RULES: list[Rule] = [*OF_CHAINS, *OF_REOPENING, *OF_SILENCES, *OF_PROVIDERS]


def rule(judge: Rule) -> Rule:
    """Put a rule into the list."""
    RULES.append(judge)
    return judge


def check(history: History) -> list[Violation]:
    """Everything that is wrong."""
    known = Known(history)
    return [violation for judge in RULES for violation in judge(known)]


# -- nothing is lost -------------------------------------------------------------------------------------


@rule
def what_is_due_is_paged(known: Known) -> Iterator[Violation]:
    """An incident that was answered 201 or 200, and is due, was paged, unless somebody ended it before; by
    each alert source that was asked for.

    An acknowledgement or a resolution excuses only if the record agrees that there was one. One that was sent
    after the incident was due excuses too, if the page was not out yet: it is tried "until accepted,
    acknowledged, resolved". One that was done before somebody asked to page now excuses nothing.

    What only a Redis knew that lost its data is excused if the page about that was taken.
    """
    excuses = Excuses(known)
    for incident in known.stored:
        asked = [d for d in known.pages_now(incident) if d.certain and not excuses.forgotten(d)]
        due_at = known.due_at(incident)
        due = bool(asked) or (due_at is not None and due_at <= known.history.ended_at)
        if not due or not (missing := _not_paged(known, excuses, incident)):
            continue
        if excuses.paged_as_lost(incident) or _waits_anew(known, incident):
            continue
        last_asked = max((deed.sent_at for deed in asked), default=float("-inf"))
        ended = any(e.answered_at is None or e.answered_at >= last_asked for e in known.endings(incident))
        record = known.records.get(incident)
        if not (ended and record is not None and record.state in ("acknowledged", "resolved")):
            yield Violation(
                "what_is_due_is_paged",
                "The incident was due, nobody had acknowledged it, and incident.io never took its page"
                f" ({', '.join(sorted(missing))}).",
                incident=incident,
                curable=True,
            )


@rule
def somebody_is_paged_if_any_of_the_chain_takes_events(known: Known) -> Iterator[Violation]:
    """While incident.io is out and nothing else, whatever becomes late is paged by the fallback meanwhile.

    What was reopened may be due again at any time. What Redis lost, or damaged, has lost its fallback too.
    """
    until, history, excuses = known.history.spare_alone_until, known.history, Excuses(known)
    if until is None or excuses.losses:
        return
    late = until - LATE_AFTER
    asks = ("firing", "escalate_now")
    then = replace(
        history,
        events=[event for event in history.events if event.at <= until],
        exchanges=[e for e in history.exchanges if e.action not in asks or (e.answered_at or late) < late],
        ended_at=late,
    )
    for violation in what_is_due_is_paged(Known(then)):
        incident = violation.incident or ""
        if not known.reopenings(incident) and not excuses.damaged(incident):
            yield replace(
                violation,
                rule="somebody_is_paged_if_any_of_the_chain_takes_events",
                sentence="It was late while incident.io was out, and the fallback was not paged for it.",
            )


def _waits_anew(known: Known, incident: str) -> bool:
    """Its acknowledgement may have ended, and its new wait has not."""
    record = known.records.get(incident)
    if record is None or record.state != "pending" or not known.reopenings(incident):
        return False
    return record.due_at is not None and record.due_at > known.history.ended_at


def _not_paged(known: Known, excuses: Excuses, incident: str) -> set[str]:
    """The alert sources that have not paged for it, or `any` if it is not known where it was asked for."""
    pagers = known.pagers(incident) - excuses.sources(incident)
    if not pagers or excuses.source_forgotten(incident):
        return set() if known.accepted(incident, "firing") else {"any"}
    if known.accepted(incident, "firing", SPARE):
        return set()
    return {source for source in pagers if not known.accepted(incident, "firing", source)}


@rule
def what_was_stored_is_still_there(known: Known) -> Iterator[Violation]:
    """Every incident that was answered 201 or 200 is there in the end, unless Redis lost its data."""
    excuses = Excuses(known)
    for incident in known.stored:
        if known.history.records and incident not in known.records and not excuses.gone(incident):
            yield Violation("what_was_stored_is_still_there", "An incident is gone.", incident=incident)


@rule
def an_answered_deed_stands(known: Known) -> Iterator[Violation]:
    """What was answered 200 is on record: resolved for ever, acknowledged until somebody asks to page now.

    Unless the same problem was paged directly afterwards: it opens what is stored under its key again; or
    Redis lost it.
    """
    excuses = Excuses(known)
    for incident, record in known.records.items():
        endings = [e for e in known.endings(incident) if e.certain and not excuses.forgotten(e)]
        resolved = [e for e in endings if e.action in ("resolve", "resolved")]
        since = max((e.sent_at for e in resolved), default=0.0)
        if resolved and record.state != "resolved" and not known.paged_directly(incident, since):
            yield Violation(
                "an_answered_deed_stands",
                f"It was resolved for certain, and its state is {record.state}.",
                incident=incident,
            )
        acknowledged = [e for e in endings if e.action == "acknowledge" and not known.reopenings(incident)]
        if not acknowledged or known.pages_now(incident) or record.state in ("acknowledged", "resolved"):
            continue
        yield Violation(
            "an_answered_deed_stands",
            f"It was acknowledged for certain, and its state is {record.state}.",
            incident=incident,
        )


@rule
def a_direct_escalation_was_taken(known: Known) -> Iterator[Violation]:
    """A 202 says that incident.io took the page, so it did, between the request and its answer."""
    for exchange in known.history.exchanges:
        if exchange.status != 202:
            continue
        for seen in exchange.incidents:
            taken = known.accepted(seen.id, "firing")
            if not any(exchange.sent_at <= event.at <= (exchange.answered_at or 0) for event in taken):
                yield Violation(
                    "a_direct_escalation_was_taken",
                    "A webhook was answered 202, and incident.io had not taken its page.",
                    incident=seen.id,
                    marker=exchange.marker,
                )


@rule
def what_is_refused_pages_once(known: Known) -> Iterator[Violation]:
    """A webhook that can't be read, and is answered 400, is one incident, and one page when that is due.

    With Redis away it is logged alone or, where that began after it was let in, paged directly. What Redis
    lost is excused.
    """
    faults, excuses = known.history.faults, Excuses(known)
    of_redis = [fault for fault in faults if "redis" in fault.kind]
    for exchange in known.history.exchanges:
        if exchange.action != "refused" or exchange.status != 400:
            continue
        until = exchange.answered_at or exchange.sent_at
        if any(meets(fault, exchange.sent_at, until) for fault in of_redis) or excuses.forgotten(exchange):
            continue
        named = f"'{exchange.marker}'"
        records = [r for r in known.records.values() if named in r.title]
        pages = [event for r in records for event in known.accepted(r.id, "firing")]
        ids = {record.id for record in records}
        due = [r for r in records if r.due_at is not None and r.due_at <= known.history.ended_at]
        directly = any(e.accepted and e.marker == exchange.marker for e in known.history.events)
        if known.history.records and len(ids) != 1 and not (directly and not ids):
            yield Violation(
                "what_is_refused_pages_once", f"It is {len(ids)} incidents.", marker=exchange.marker
            )
        elif due and not pages:
            yield Violation(
                "what_is_refused_pages_once", "Nobody was paged for it.", incident=due[0].id, curable=True
            )
        for one, again in pairwise(pages):
            if not any(meets(f, one.at, again.at) for f in faults if f.kind not in HARMLESS):
                yield Violation("what_is_refused_pages_once", "It was paged twice.", incident=records[0].id)


# -- nobody is woken for nothing -------------------------------------------------------------------------


@rule
def what_was_ended_in_time_never_pages(known: Known) -> Iterator[Violation]:
    """Acknowledged or resolved, and told so, before it was due: no request to incident.io, ever.

    Unless somebody asked to page now: that may have made it due before; or an acknowledgement may have been
    ended, of which `reopening_rules` are. Nor if Redis lost that it was: in
    doubt, it pages. One whose record can't be read and that was acknowledged counts as perhaps paged, so that
    a resolve event may follow.
    """
    excuses = Excuses(known)
    for incident in known.stored:
        due_at = known.due_at(incident)
        if due_at is None or known.pages_now(incident):
            continue
        in_time = [
            e
            for e in known.endings(incident)
            if e.certain and e.answered_at is not None and e.answered_at < due_at - excuses.uneven(due_at)
            if not excuses.forgotten(e)
            if e.action != "acknowledge" or not known.reopenings(incident)
        ]
        events = [
            event
            for event in known.events.get(incident, ())
            if event.kind == "firing" or not excuses.damaged(incident)
        ]
        if in_time and events:
            yield Violation(
                "what_was_ended_in_time_never_pages",
                "It was acknowledged or resolved in time, and a request about it went to incident.io.",
                incident=incident,
            )


@rule
def nothing_pages_unasked_or_early(known: Known) -> Iterator[Violation]:
    """No page before it is due (by Redis's clock, which is this one), and none where on-call was off.

    What was paged directly before it was stored was due each time that it was tried.
    """
    excuses = Excuses(known)
    for incident in known.stored:
        first = known.answers[incident][0]
        direct_until = first.answered_at or first.sent_at if first.status == 202 else float("-inf")
        events = known.events.get(incident, ())
        pages = [event for event in events if event.kind == "firing" and event.at > direct_until]
        if not pages or known.pages_now(incident) or known.is_held(incident):
            continue
        record = known.records.get(incident)
        due_at = known.due_at(incident) or (record.due_at if record else None)
        if due_at is None and known.problem_paged_directly(incident):
            continue
        if due_at is None or pages[0].at < due_at - ROUNDED - excuses.uneven(pages[0].at):
            yield Violation(
                "nothing_pages_unasked_or_early",
                "Its page was sent before it was due." if due_at else "Nobody had asked for its page.",
                incident=incident,
            )


@rule
def nobody_gets_less_time_than_asked_for(known: Known) -> Iterator[Violation]:
    """A new incident is due the wait that its webhook asked for after it was sent, or later."""
    excuses = Excuses(known)
    for exchange in known.history.exchanges:
        if exchange.status != 201:
            continue
        for seen in exchange.incidents:
            earliest = exchange.sent_at + exchange.wait - CLOCK - excuses.uneven(exchange.sent_at)
            if seen.due_at is not None and seen.due_at < earliest:
                less = exchange.sent_at + exchange.wait - seen.due_at
                yield Violation(
                    "nobody_gets_less_time_than_asked_for",
                    f"It is due {less:.1f} s sooner than its webhook asked for.",
                    incident=seen.id,
                )


@rule
def a_page_is_repeated_only_after_a_fault(known: Known) -> Iterator[Violation]:
    """An alert source takes one page, and another one only when something broke that could hide the first."""
    faults = [fault for fault in known.history.faults if fault.kind not in HARMLESS]
    for key, source in _alerts(known):
        for one, again in pairwise(known.accepted(key, "firing", source)):
            why = (fault for fault in faults if harms(fault, source))
            if one.status == 202 and not any(meets(fault, one.at, again.at) for fault in why):
                yield Violation(
                    "a_page_is_repeated_only_after_a_fault",
                    "It was paged twice, though nothing was broken at the time.",
                    incident=key,
                )


def _alerts(known: Known) -> Iterator[tuple[str, str]]:
    """Each incident with each alert source that incident.io has heard from about it."""
    return ((key, source) for key in known.stored for source in sorted(known.sources(key)))


# -- everybody is notified ---------------------------------------------------------------------------------


@rule
def who_is_asked_for_is_notified(known: Known) -> Iterator[Violation]:
    """Each change that a channel wants to hear of is in a message that knew of it, or in a summary after it.

    One message is up to date for all that happened before. A summary says of how many incidents it is, so no
    more may be missing than it speaks of. Which channel it was is lost with a record, or with one that can't
    be read.
    """
    for channel, events in known.history.channels.items():
        missing = sorted(_missing(known, channel, events), reverse=True)
        summaries = [n for n in known.history.notifications if n.channel == channel and n.incident is None]
        for count, (at, incident) in enumerate(missing, start=1):
            late = ROUNDED + Excuses(known).uneven(at)
            summarized = sum(summary.count for summary in summaries if summary.at >= at - late)
            if count > summarized:
                yield Violation(
                    "who_is_asked_for_is_notified",
                    f"{channel} did not hear of {count} incidents, and summaries speak of {summarized}.",
                    incident=incident,
                    curable=True,
                )


def _missing(known: Known, channel: str, events: tuple[str, ...]) -> Iterator[tuple[float, str]]:
    """The incidents with a change that no message of their own knew of, and when it happened."""
    through: dict[str, float] = defaultdict(float)
    for one in known.history.notifications:
        if one.channel == channel and one.incident is not None:
            through[one.incident] = max(through[one.incident], one.through)
    excuses = Excuses(known)
    for incident in known.stored:
        if excuses.damaged(incident) or excuses.remade(incident):
            continue
        if known.channel(incident) == channel:
            wanted = [at for event, at in known.changes(incident).items() if event in events]
            last = max(wanted, default=0.0)
            if last > through[incident] + ROUNDED:
                yield last, incident


@rule
def nobody_is_notified_twice_without_a_fault(known: Known) -> Iterator[Violation]:
    """A channel hears of the same again only when something broke meanwhile, and once for each time."""
    faults = [fault for fault in known.history.faults if fault.kind not in HARMLESS]
    same: dict[Any, list[float]] = defaultdict(list)
    for one in known.history.notifications:
        if one.incident is not None:
            same[one.incident, one.channel, one.event, one.through].append(one.at)
    for (incident, channel, event, _), times in same.items():
        meeting = [fault for fault in faults if meets(fault, min(times), max(times))]
        if len(times) > 1 + len(meeting):
            yield Violation(
                "nobody_is_notified_twice_without_a_fault",
                f"{channel} heard it {len(times)} times ({event}), and {len(meeting)} faults may be why.",
                incident=incident,
            )


# -- one problem, one alert ------------------------------------------------------------------------------


@rule
def one_incident_is_one_alert(known: Known) -> Iterator[Violation]:
    """All events of an incident carry its ID as their key and go to the alert sources that were asked for.

    An event of an incident that no answer showed belongs, by the marker in its title, to a webhook without a
    certain answer: it may be stored, or paged directly, or both, each time it was sent. A page for lost data
    is of none, and one for a record that was lost may have no title but its ID.
    """
    excuses = Excuses(known)
    lost = excuses.lost_successors()
    uncertain = {
        e.marker for e in known.history.exchanges if e.status in (None, 202, 503) or e.action == "refused"
    }
    for key, events in known.events.items():
        accepted = [event for event in events if event.accepted]
        if known.answers_of_line(key):
            wanted = known.wanted_sources(key)
            # One whose record is lost pages at the default source, and has no title but its ID.
            strays = [
                event for event in accepted if event.source not in wanted and not excuses.untitled(event)
            ]
            if strays and not excuses.source_forgotten(key):
                yield Violation("one_incident_is_one_alert", "It went to a wrong alert source.", incident=key)
        elif key in lost or all(_is_lost(known, excuses, event) for event in accepted):
            continue
        elif stranger := next((e for e in accepted if not _is_known(excuses, e, uncertain)), None):
            yield Violation(
                "one_incident_is_one_alert",
                "Incident.io took an event whose key belongs to nothing that was answered or is uncertain.",
                incident=key,
                marker=webhook_of(stranger.marker),
            )


def _is_lost(known: Known, excuses: Excuses, event: Event) -> bool:
    """It continued what somebody had acknowledged, and Redis lost it after it was paged."""
    acknowledged = (e.marker for e in known.history.exchanges if e.action == "acknowledge")
    gone = event.key not in known.records and excuses.page_forgotten(event)
    return gone and webhook_of(event.marker) in acknowledged


def _is_known(excuses: Excuses, event: Event, markers: set[str]) -> bool:
    known = webhook_of(event.marker) in markers
    return known or excuses.untitled(event) or excuses.is_of_loss(event)


@rule
def direct_pages_of_one_problem_share_a_key(known: Known) -> Iterator[Violation]:
    """With Redis away, the same problem again, or the same body again, is the same alert at incident.io.

    Where Redis can be read, its incident's key is carried.
    """
    excuses, stored = Excuses(known), set(known.stored)
    keys: dict[str, tuple[str, ...]] = {}
    for exchange in known.history.exchanges:
        if exchange.status == 202:
            paged = tuple(seen.id for seen in exchange.incidents)
            if excuses.may_be_read(exchange) and stored.issuperset(paged):
                continue
            if keys.setdefault(exchange.problem or exchange.marker, paged) != paged:
                yield Violation(
                    "direct_pages_of_one_problem_share_a_key",
                    "The same problem was paged directly under another key before.",
                    incident=paged[0],
                    marker=exchange.marker,
                )


@rule
def the_resolve_event_follows_the_page(known: Known) -> Iterator[Violation]:
    """A resolve event is sent for what was resolved and had been tried to page; no page follows it.

    That the page was *taken* before is not promised: one that got no answer may be out, so it is followed by
    a resolve event in any case. A page after its resolve event has one good reason: a worker was stopped in
    the moment between its last look at the clock and its call of the system, slept through its lease, and
    sent when it woke up. It says so on the timeline (`delivered_late`), and another resolve event follows.
    What was paged directly has the key of its problem: it is resolved if another incident has it by the time
    that it can be stored, and paged again when the problem comes back. Of an old backup nobody knows what was
    resolved since. An acknowledged incident whose record can't be read counts as perhaps paged.
    """
    excuses = Excuses(known)
    for key, source in sorted({(event.key, event.source) for event in known.history.events}):
        events = [event for event in known.events[key] if event.source == source]
        cleared = next((event for event in events if event.accepted and event.kind == "resolved"), None)
        if cleared is None:
            continue
        record = known.records.get(key)
        asked = [
            e
            for e in known.endings_of_line(key)
            if e.action in ("resolve", "resolved") and e.sent_at <= cleared.at
        ]
        tried = any(event.kind == "firing" and event.at <= cleared.at for event in events)
        directly = known.paged_directly(key)
        if key in known.answers and not asked and not directly and not excuses.page_forgotten(cleared):
            yield Violation("the_resolve_event_follows_the_page", "Nobody had resolved it.", incident=key)
        if not tried and record is not None and record.attempts == 0 and not excuses.damaged(key):
            yield Violation("the_resolve_event_follows_the_page", "No page was ever tried.", incident=key)
        late = [e for e in events if e.accepted and e.kind == "firing" and e.at > cleared.at]
        slept = record and "delivered_late" in (record.timeline or ())
        if late and not directly and not slept and not excuses.page_forgotten(cleared):
            yield Violation(
                "the_resolve_event_follows_the_page", "Its page came after its resolve event.", incident=key
            )


@rule
def what_is_over_is_over_at_incident_io(known: Known) -> Iterator[Violation]:
    """An incident that is resolved, and whose page was taken, is resolved at incident.io in the end.

    What was paged directly, or without a claim while Redis took no writes, is in the memory of one process
    until Redis takes it: killing that forgets it. Forgotten is also what a Redis knew that lost its data, and
    where it was paged, if only a damaged record said so.
    """
    excuses = Excuses(known)
    for incident, record in known.records.items():
        last = [known.accepted(incident, source=source)[-1] for source in known.sources(incident)]
        last = [e for e in last if not excuses.page_forgotten(e) and not excuses.sender_killed(e)]
        if excuses.source_forgotten(incident) and any(event.kind == "resolved" for event in last):
            continue
        left = [event for event in last if event.kind != "resolved" and not known.forgotten(event)]
        if record.state == "resolved" and left:
            yield Violation(
                "what_is_over_is_over_at_incident_io",
                "It is resolved, and incident.io still shows its alert as firing.",
                incident=incident,
                curable=True,
            )


# -- what stands underneath ------------------------------------------------------------------------------


@rule
def a_loss_is_paged_once(known: Known) -> Iterator[Violation]:
    """Redis lost more than its last moments, and a worker lived through it: people are paged for it, once."""
    excuses = Excuses(known)
    for loss in excuses.losses:
        if excuses.must_page(loss) and not excuses.pages_of(loss):
            sentence = f"Redis lost its data ({loss.kind}), and nobody was paged for that."
            yield Violation("a_loss_is_paged_once", sentence, curable=True)
    # While Redis takes no writes it is paged directly, and may be stored by another process: that one stays.
    resolved = {record.id for record in known.records.values() if record.state == "resolved"}
    events = (event for events in known.events.values() for event in events)
    keys = {event.key for event in events if excuses.is_of_loss(event)} - resolved
    if len(keys) > len(excuses.losses):
        yield Violation("a_loss_is_paged_once", f"{len(excuses.losses)} losses are {len(keys)} incidents.")


@rule
def a_repeat_of_what_is_acknowledged_pages_nobody(known: Known) -> Iterator[Violation]:
    """Where Redis refuses writes and can be read, it is known what was acknowledged: that is not paged."""
    excuses = Excuses(known)
    incidents: dict[str, set[str]] = defaultdict(set)
    for incident, answers in known.answers.items():
        for answer in answers:
            if answer.problem is not None:
                incidents[answer.problem].add(incident)
    for exchange in known.history.exchanges:
        if exchange.status != 202 or exchange.problem is None or not excuses.only_refuses(exchange):
            continue
        known_before = incidents[exchange.problem] & set(known.stored)
        incident = next(iter(known_before), "")
        if len(known_before) == 1 and _is_acknowledged(known, excuses, incident, exchange.sent_at):
            yield Violation(
                "a_repeat_of_what_is_acknowledged_pages_nobody",
                "Its problem was acknowledged, and a repeat paged.",
                incident=incident,
                marker=exchange.marker,
            )


def _is_acknowledged(known: Known, excuses: Excuses, incident: str, at: float) -> bool:
    """It is for certain, and nobody may have ended or reopened it."""
    endings = known.endings(incident)
    over = any(e.action in ("resolve", "resolved") for e in endings)
    acknowledged = any(
        e.certain and (e.answered_at or at) < at and not excuses.forgotten(e)
        for e in endings
        if e.action == "acknowledge"
    )
    perhaps = known.pages_now(incident) or known.reopenings(incident) or excuses.damaged(incident)
    return acknowledged and not over and not perhaps


@rule
def a_log_that_nobody_reads_silences_nobody(known: Known) -> Iterator[Violation]:
    """A web process whose log is not read answers all the same, unless it is stopped or ended meanwhile."""
    faults = known.history.faults
    for unread in (fault for fault in faults if fault.kind == "log_unread"):
        since, until = unread.began_at + REACH, unread.ended_at - PATIENCE
        ended = [f for f in faults if "web" in f.kind or f.kind == "secret_rotated"]
        sent = [
            exchange
            for exchange in known.history.exchanges
            if unread.detail == f"process={exchange.web}" and since <= exchange.sent_at <= until
        ]
        unanswered = all(exchange.status is None for exchange in sent)
        if len(sent) >= ENOUGH and unanswered and not any(meets(f, since, unread.ended_at) for f in ended):
            sentence = f"{len(sent)} requests got no answer while nobody read the log."
            yield Violation("a_log_that_nobody_reads_silences_nobody", sentence, marker=sent[0].marker)


# -- answers, processes, records -------------------------------------------------------------------------


@rule
def every_answer_is_in_the_contract(known: Known) -> Iterator[Violation]:
    """No 500, nothing that the contract does not know, and every 503 says when to try again.

    An incident that Redis lost is a 404, and a link may be a 401 while the secret is rotated.
    """
    excuses = Excuses(known)
    for exchange in known.history.exchanges:
        if exchange.status is None:
            continue
        wrong = exchange.status not in STATUSES[exchange.action] | set(excuses.statuses(exchange))
        if wrong or (exchange.status == 503 and not exchange.retry_after):
            what = f"answered {exchange.status}" if wrong else "answered 503 without Retry-After"
            yield Violation(
                "every_answer_is_in_the_contract",
                f"A request ({exchange.action}) was {what}: {exchange.note}",
                incident=exchange.incident,
                marker=exchange.marker,
            )


@rule
def an_answer_shows_what_was_done(known: Known) -> Iterator[Violation]:
    """A webhook with a problem is answered with its incident; a person's deed with the one that was meant."""
    lost = Excuses(known).lost_successors()
    for exchange in known.history.exchanges:
        if not exchange.certain:
            continue
        ids = {seen.id for seen in exchange.incidents}
        meant = {*known.lines.of(exchange.incident), *lost} if exchange.incident else ids
        if (exchange.action == "firing" and not ids) or not ids <= meant or (exchange.incident and not ids):
            yield Violation(
                "an_answer_shows_what_was_done",
                f"The answer to {exchange.action} shows {sorted(ids) or 'no incident'}.",
                incident=exchange.incident,
                marker=exchange.marker,
            )


@rule
def no_process_dies_by_itself(known: Known) -> Iterator[Violation]:
    """Whatever happens to Redis and incident.io, a process ends only when it is killed or asked to end."""
    for life in known.history.lives:
        if life.event == "died":
            yield Violation("no_process_dies_by_itself", f"{life.name} died by itself ({life.detail}).")


@rule
def all_is_well_again(known: Known) -> Iterator[Violation]:
    """After everything was healed, `/readyz` says 200."""
    if known.history.not_ready is not None:
        yield Violation(
            "all_is_well_again", f"The service is not ready: {known.history.not_ready}", curable=True
        )


@rule
def records_agree_with_incident_io(known: Known) -> Iterator[Violation]:
    """Nothing that was due is still waiting, nothing has failed, and what is on record as paged was taken.

    What was taken may be acknowledged or resolved without being on record as paged: when no answer came.
    Of an old backup nobody knows what was paged since.
    """
    excuses = Excuses(known)
    for incident, record in known.records.items():
        due = record.due_at is not None and record.due_at <= known.history.ended_at
        if record.state == "escalating" or (record.state == "pending" and due):
            yield _disagreement(record, f"It was due, and its state is {record.state}.", curable=True)
        if record.state == "failed":
            yield _disagreement(record, "It failed, though the configuration is right.", curable=False)
        taken = known.accepted(incident, "firing")
        if (record.escalated_at is not None or record.state == "escalated") and not taken:
            yield _disagreement(record, "Its record says that it was paged, and incident.io knows nothing.")
        if record.state == "open" and not all(map(excuses.page_forgotten, taken)):
            yield _disagreement(record, "It was paged, and its record says that nobody asked for it.")


def _disagreement(record: Record, sentence: str, *, curable: bool = False) -> Violation:
    return Violation("records_agree_with_incident_io", sentence, incident=record.id, curable=curable)
