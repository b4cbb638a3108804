"""The page of silences, and the form to make one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, request
from werkzeug.wrappers import Response as Redirect

from app import silences
from app.bootstrap import Services
from app.domain.incident import Incident
from app.web.dashboard.live import Live
from app.web.http import session
from app.web.http.pages import page
from config.match import FIELDS, LABEL, LONGEST_PATTERN

TIMES = {30: "30 minutes", 120: "2 hours", 480: "8 hours", 1440: "1 day", 10080: "7 days"}
"""Minutes that people are offered."""


def add_to(dashboard: Blueprint, services: Services, live: Live) -> None:
    """Add them to the dashboard, which sees to the login and to where a form comes from."""

    @dashboard.get("/silences")
    def show_silences() -> Response:
        return live.answer("silences.html", lambda _: _listed(services))

    @dashboard.get("/silences/new")
    def new_silence() -> Response:
        incident_id = request.args.get("incident")
        incident = None if incident_id is None else services.store.incidents.require(incident_id)
        return _form(200, {} if incident is None else _fields_of(incident))

    @dashboard.post("/silences/new")
    def make_silence() -> Response | Redirect:
        form = request.form
        try:
            made = silences.make(
                services,
                _match(form),
                # A time of one's own wins over the list.
                minutes=None if form.get("until") else form.get("minutes"),
                until=form.get("until"),
                comment=form.get("comment"),
                by=g.person,
            )
        except silences.InvalidSilence as error:
            return _form(400, form, str(error))
        flash(f"Silenced: {made.match}")
        return redirect(f"{request.script_root}/silences", 303)

    @dashboard.post("/silences/<silence_id>/end")
    def end_silence(silence_id: str) -> Redirect:
        flash(f"Silence ended: {silences.end(services, silence_id, g.person).match}")
        return redirect(f"{request.script_root}/silences", 303)


def _listed(services: Services) -> dict[str, Any]:
    """What the list shows: those that are active, the first to end first, then those that ended."""
    every, now = services.store.silences.read().all, services.clock()
    active = sorted((one for one in every if one.is_active(now)), key=lambda one: one.until)
    ended = sorted((one for one in every if not one.is_active(now)), key=lambda one: one.over_at)
    return {
        "active": active,
        "ended": ended[::-1],
        "held": services.store.silences.counts([one.id for one in active]),
    }


def _form(status: int, given: Mapping[str, str], problem: str | None = None) -> Response:
    return page(
        "silence_form.html",
        status,
        problem=problem,
        given=given,
        fields=FIELDS,
        times=TIMES,
        csrf=session.csrf_token(),
    )


def _fields_of(incident: Incident) -> dict[str, str]:
    """The form filled in, so that it silences what is like this incident."""
    facts = {name: _pattern(value) for name, value in incident.facts.items() if value}
    labels = (f"{n.removeprefix(LABEL)}={v}" for n, v in facts.items() if n.startswith(LABEL))
    return {**facts, "labels": "\n".join(labels)}


def _pattern(value: str) -> str:
    line = " ".join(value.split())
    # What is no single line, or is too long, is found by how it begins.
    begins = value[: LONGEST_PATTERN - 1].splitlines()[0] if value.strip() else ""
    return value if value == line and len(value) <= LONGEST_PATTERN else f"{begins.rstrip()}*"


def _match(form: Mapping[str, str]) -> dict[str, list[str]]:
    """Fields that are filled in; a label is a line `name=pattern`."""
    match = {name: [given] for name in FIELDS if (given := form.get(name, "").strip())}
    for line in form.get("labels", "").splitlines():
        name, equals, pattern = line.strip().partition("=")
        if name and not equals:
            raise silences.InvalidSilence(f"The label {name!r} must be written as name=pattern.")
        if name:
            match.setdefault(LABEL + name.strip(), []).append(pattern.strip())
    return match
