"""Acknowledging or resolving many incidents: each in an atomic step of its own; each failure is reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Outcome:
    """What became of each."""

    changed: list[Incident] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    """ID, and why it was not changed."""


def register(dashboard: Blueprint, services: Services) -> None:
    """The page that asks, and the form that acts; `dashboard` checks login and CSRF token."""

    @dashboard.get("/incidents/selected")
    def ask_about_matching() -> Response:
        action = _action(request.args)
        found = services.store.incidents.page(search_of(request.args), MOST, None)
        return _ask(
            action, [one for one in found.incidents if action.can(one)], more=found.cursor is not None
        )

    @dashboard.post("/incidents/selected")
    def act_on_selected() -> Response | Redirect:
        action, ids = _action(request.form), _selected(request.form)
        if action.warning and "sure" not in request.form:
            known = [services.store.incidents.get(one) for one in ids]
            return _ask(action, [one for one in known if one is not None and action.can(one)])
        outcome = act_on(services, action, ids, g.person)
        if outcome.failed:
            return _page("selected_outcome.html", action=action, outcome=outcome)
        flash(f"{action.done}: {_count(len(outcome.changed))}.")
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
    return _page("selected.html", action=action, incidents=incidents, more=more, most=MOST)


def _page(template: str, **context: Any) -> Response:
    names = {known: name for name, known in ACTIONS.items()}
    return page(
        template,
        200,
        csrf=session.csrf_token(),
        name=names[context["action"]],
        next=local(request.values.get("next", ""), home()),
        **context,
    )


def _action(fields: MultiDict[str, str]) -> Action:
    name = single(fields, "action") or ""
    if name not in ACTIONS:
        raise BadParameter.of("action", name, " or ".join(ACTIONS))
    return ACTIONS[name]


def _selected(fields: MultiDict[str, str]) -> list[str]:
    ids = list(dict.fromkeys(fields.getlist("id")))
    if not ids:
        raise BadParameter("Nothing is selected: select incidents first.")
    if len(ids) > MOST:
        raise BadParameter(f"{len(ids)} incidents are selected: select {MOST} at the most.")
    return ids


def _count(number: int) -> str:
    return "1 incident" if number == 1 else f"{number} incidents"
