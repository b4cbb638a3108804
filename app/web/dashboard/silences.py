"""The page of silences, and the form to make one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, request
from werkzeug.wrappers import Response as Redirect

from app import silences
from app.bootstrap import Services
from app.domain.alert import VERSUS
from app.domain.incident import Incident
from app.domain.silence import common
from app.web.dashboard.live import Live
from app.web.http import session
from app.web.http.pages import page
from config.match import FIELDS, LABEL

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
        return (
            _form(200, {})
            if incident_id is None
            else form_for([services.store.incidents.require(incident_id)])
        )

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
        held = services.store.silences.counts([made.id])[made.id]
        flash(f"Silenced, which holds {held} {'incident' if held == 1 else 'incidents'} now: {made.match}")
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


def form_for(incidents: Sequence[Incident]) -> Response:
    """The form filled in with what these incidents have in common. Raises `InvalidSilence`."""
    own = [one for one in incidents if one.source == VERSUS]
    others = [one for one in incidents if one.source != VERSUS]
    if not others:
        raise silences.InvalidSilence(
            "There is nothing to silence: select incidents of other sources than versus."
        )
    found = common([one.facts for one in others])
    given = {name: "\n".join(patterns) for name, patterns in found.patterns.items()}
    given["labels"] = "\n".join(_label_lines(found.patterns))
    return _form(
        200,
        given,
        count=len(others),
        own=len(own),
        paged=sum(one.escalated_at is not None for one in others),
        left_out=[name.removeprefix(LABEL) for name in found.left_out],
    )


def _label_lines(patterns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, several in patterns.items():
        # A name with an equals sign can't be written as name=pattern.
        if name.startswith(LABEL) and "=" not in name:
            yield from (f"{name.removeprefix(LABEL)}={one}" for one in several)


def _form(status: int, given: Mapping[str, str], problem: str | None = None, **about: Any) -> Response:
    return page(
        "silence_form.html",
        status,
        problem=problem,
        given=given,
        fields=FIELDS,
        times=TIMES,
        csrf=session.csrf_token(),
        **about,
    )


def _match(form: Mapping[str, str]) -> dict[str, list[str]]:
    """Fields that are filled in, a pattern a line; a label is a line `name=pattern`."""
    match = {name: lines for name in FIELDS if (lines := _lines(form.get(name, "")))}
    for line in _lines(form.get("labels", "")):
        name, equals, pattern = line.partition("=")
        if not equals:
            raise silences.InvalidSilence(f"The label {name!r} must be written as name=pattern.")
        match.setdefault(LABEL + name.strip(), []).append(pattern.strip())
    return match


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
