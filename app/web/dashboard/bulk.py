"""Acknowledging, silencing or resolving many incidents.

Each is changed in an atomic step of its own, and each failure is reported. A silence is one for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as Redirect

from app import actions
from app.bootstrap import Services
from app.domain.delivery import InvalidTransition
from app.domain.incident import Incident
from app.domain.state import Phase
from app.store import IncidentNotFound, StoreUnavailable
from app.web.dashboard.login import home, local
from app.web.dashboard.silences import form_for
from app.web.http import session
from app.web.http.concurrency import STORE_SECONDS
from app.web.http.pages import page
from app.web.http.parameters import BadParameter, search_of, single

MOST = 1_000
"""Incidents at a time."""
SECONDS = 20.0
"""Until those that are left are reported as unchanged: a proxy waits no longer than 30."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done to many."""

    verb: str
    done: str
    do: Callable[[Services, str, str], Incident]
    can: Callable[[Incident], bool]
    """Whether it would change the incident."""
    warning: str = ""
    """Of what can't be undone, which is done only after a question."""


ACTIONS = {
    "ack": Action(
        "Acknowledge",
        "Acknowledged",
        actions.acknowledge,
        lambda one: one.phase not in (Phase.ACKNOWLEDGED, Phase.RESOLVED),
    ),
    "resolve": Action(
        "Resolve",
        "Resolved",
        actions.resolve,
        lambda one: one.phase is not Phase.RESOLVED,
        "Resolving cannot be undone.",
    ),
}


UNDO = Action(
    "Undo acknowledgement",
    "No longer acknowledged",
    actions.unacknowledge,
    lambda one: one.phase is Phase.ACKNOWLEDGED,
)
SILENCE = "silence"
"""The action that leads to the form of a new silence, and changes nothing by itself."""


@dataclass(slots=True)
class Outcome:
    """What became of each."""

    changed: list[Incident] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    """ID, and why it was not changed."""


def register(dashboard: Blueprint, services: Services) -> None:
    """The page that asks, and the forms that act; `dashboard` checks login and CSRF token."""

    @dashboard.get("/incidents/selected")
    def ask_about_matching() -> Response:
        name = _name(request.args)
        found = services.store.incidents.page(search_of(request.args), MOST, None)
        if name == SILENCE:
            return form_for([one for one in found.incidents if one.phase is not Phase.RESOLVED])
        able = [one for one in found.incidents if ACTIONS[name].can(one)]
        return _ask(ACTIONS[name], able, more=found.cursor is not None)

    @dashboard.post("/incidents/selected")
    def act_on_selected() -> Response | Redirect:
        name, ids = _name(request.form), _selected(request.form)
        if name == SILENCE:
            return form_for(_known(services, ids))
        action = ACTIONS[name]
        if action.warning and "sure" not in request.form:
            return _ask(action, [one for one in _known(services, ids) if action.can(one)])
        began = services.clock()
        outcome = act_on(services, action, ids, g.person)
        return _done(action, outcome, _undo(services, action, outcome, began))

    @dashboard.post("/incidents/undo/<token>")
    def undo(token: str) -> Response | Redirect:
        ids = services.store.sessions.undone(token)
        if not ids:
            raise BadParameter("This can't be undone here any more: undo each acknowledgement on its page.")
        return _done(UNDO, act_on(services, UNDO, ids, g.person))


def _undo(services: Services, action: Action, outcome: Outcome, began: datetime) -> str | None:
    """The path that takes back what was done, if there is one; what others had acknowledged before stays."""
    if action is not ACTIONS["ack"]:
        return None
    mine = (one for one in outcome.changed if one.acknowledged_by == g.person)
    ours = [one.id for one in mine if one.acknowledged_at is not None and one.acknowledged_at >= began]
    # What was done stands, even if Redis does not answer any more.
    with suppress(StoreUnavailable), services.store.deadline(STORE_SECONDS):
        return f"/incidents/undo/{services.store.sessions.can_be_undone(ours)}" if ours else None
    return None


def _known(services: Services, ids: Sequence[str]) -> list[Incident]:
    found = (services.store.incidents.get(one) for one in ids)
    return [one for one in found if one is not None]


def _done(action: Action, outcome: Outcome, undo: str | None = None) -> Response | Redirect:
    if outcome.failed:
        return _page("selected_outcome.html", action=action, outcome=outcome, undo=undo)
    flash(f"{action.done}: {_count(len(outcome.changed))}.", undo or "message")
    return redirect(local(request.form.get("next", ""), home()), 303)


def act_on(services: Services, action: Action, ids: Sequence[str], by: str) -> Outcome:
    """Do it to each; what fails for one changes nothing for the others.

    Once Redis does not answer, or `SECONDS` are over, what is left is not tried.
    """
    outcome, until, stopped = Outcome(), time.monotonic() + SECONDS, ""
    for one in ids:
        if not stopped and time.monotonic() > until:
            stopped = f"It was not tried, because the others took {SECONDS:.0f} s: try again."
        if stopped:
            outcome.failed.append((one, stopped))
            continue
        try:
            with services.store.deadline(STORE_SECONDS):
                outcome.changed.append(action.do(services, one, by))
        except (IncidentNotFound, InvalidTransition) as error:
            outcome.failed.append((one, str(error)))
        except StoreUnavailable as error:
            outcome.failed.append((one, str(error)))
            stopped = "It was not tried, because Redis did not answer for the one before it: try again."
    return outcome


def _ask(action: Action, incidents: Sequence[Incident], *, more: bool = False) -> Response:
    name = next(name for name, known in ACTIONS.items() if known is action)
    return _page("selected.html", action=action, name=name, incidents=incidents, more=more, most=MOST)


def _page(template: str, **context: Any) -> Response:
    return page(
        template,
        200,
        csrf=session.csrf_token(),
        next=local(request.values.get("next", ""), home()),
        **context,
    )


def _name(fields: MultiDict[str, str]) -> str:
    name = single(fields, "action") or ""
    if name not in (*ACTIONS, SILENCE):
        raise BadParameter.of("action", name, " or ".join((*ACTIONS, SILENCE)))
    return name


def _selected(fields: MultiDict[str, str]) -> list[str]:
    ids = list(dict.fromkeys(fields.getlist("id")))
    if not ids:
        raise BadParameter("Nothing is selected: select incidents first.")
    if len(ids) > MOST:
        raise BadParameter(f"{len(ids)} incidents are selected: select {MOST} at most.")
    return ids


def _count(number: int) -> str:
    return "1 incident" if number == 1 else f"{number} incidents"
