"""The page at `/`: what waits, failed and was paged; each leads to where it is acknowledged."""

from __future__ import annotations

from flask import Blueprint, Response, request
from pydantic import SecretStr

from app.gateway import Gateway
from app.health import readiness
from app.incident import State
from app.store import Search
from app.web.acknowledge import page
from app.web.guard import check_person

SHOWN = 50

# In this order: what somebody must do something about comes first.
GROUPS: tuple[tuple[str, frozenset[State]], ...] = (
    ("Waiting for somebody", frozenset({State.PENDING})),
    ("Nobody was paged", frozenset({State.FAILED})),
    ("Paged", frozenset({State.ESCALATING, State.ESCALATED})),
    ("Acknowledged", frozenset({State.ACKNOWLEDGED})),
    ("Open, without on-call", frozenset({State.OPEN})),
    ("Resolved lately", frozenset({State.RESOLVED})),
)


def blueprint(gateway: Gateway, secret: SecretStr | None) -> Blueprint:
    """For people, who log in with the gateway secret as password; without one it says how to switch it on."""
    overview = Blueprint("overview", __name__)

    @overview.get("/")
    def show() -> Response:
        if secret is None:
            words = "Set GATEWAY_SECRET to see the incidents here; it is the password, with any user name."
            return page("message.html", 200, heading="Versus Incident is running", sentence=words)
        check_person(request, secret)
        now = gateway.clock()
        groups = [
            (name, gateway.store.incidents.page(Search(states=states), SHOWN, None).incidents)
            for name, states in GROUPS
        ]
        # What pages first stands first.
        groups[0][1].sort(key=lambda one: one.due_at or now)
        # Nothing is done here: the page behind the link has the button, and a signature instead of a login.
        links = {one.id: gateway.links.path(one.id, now) for _, some in groups for one in some}
        wrong = [verdict for verdict in readiness(gateway).values() if verdict != "ok"]
        return page("overview.html", 200, groups=groups, links=links, now=now, wrong=wrong)

    return overview
