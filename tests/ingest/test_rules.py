"""Rules over a real Redis: what they decide, what a repeat may change, and that hours lose nothing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import actions
from app.bootstrap import Services
from app.delivery import pages
from app.domain.alert import Alert
from app.domain.explain import explain
from app.domain.incident import Incident
from app.domain.routing import LONGEST_HOLD, Options, decide
from app.domain.state import State
from app.ingest.own_incident import report
from app.ingest.service import ReceivedAlert, receive
from app.web import create_app
from app.web.api.route import routed_body
from tests.factories import an_alert
from tests.fakes import GATEWAY_SECRET, INFRA, PAGER, Clock, RecordingProvider
from tests.rules import NIGHT, with_rules

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
NIGHT_ENDS = datetime(2026, 3, 4, 7, 0, tzinfo=UTC)
"""The clock of these tests begins in that night, at 03:00 UTC."""
PAYMENTS = {"name": "payments", "match": {"service": "payments*"}, "alert_source": "infra", "wait_minutes": 1}


def taken(services: Services, alert: Alert, options: Options = Options()) -> Incident:  # noqa: B008
    [received] = receive(services, [ReceivedAlert(alert, "{}")], options)
    assert received.incident is not None
    return received.incident


def test_hours_hold_and_the_whole_wait_begins_when_they_end(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    held = taken(with_rules(services, [NIGHT]), an_alert(severity="low"))
    assert (held.state, held.rule, held.held_until) == (State.PENDING, "not at night", NIGHT_ENDS)
    assert held.due_at == NIGHT_ENDS + timedelta(minutes=3)
    words = " ".join(explain(held, clock.now))
    assert (
        "The rule 'not at night' holds it until 2026-03-04 07:00:00 UTC: then it waits, and pages at" in words
    )
    assert "Rule: 'not at night', held until 2026-03-04T07:00:00.000Z." in words
    clock.now = NIGHT_ENDS + timedelta(minutes=2)
    pages.deliver(services, held.id, [PAGER])
    assert provider.notified() == []
    clock.wind(minutes=1)
    pages.deliver(services, held.id, [PAGER])
    assert provider.notified() == [("firing", held.id)]


def test_what_the_request_asks_for_wins(services: Services, clock: Clock) -> None:
    ruled = with_rules(services, [NIGHT, PAYMENTS])
    now = clock.now
    for options, due_at in (
        (Options(oncall_enable=True), now + timedelta(minutes=3)),
        (Options(oncall_enable=False), None),
        (Options(wait_minutes=10), NIGHT_ENDS + timedelta(minutes=10)),
    ):
        assert taken(ruled, an_alert(severity="low"), options).due_at == due_at
    asked = taken(ruled, an_alert(service="payments-api"), Options(alert_source="default", wait_minutes=7))
    assert (list(asked.pagers), asked.due_at) == ([PAGER], now + timedelta(minutes=7))


def test_without_hours_nobody_is_paged_and_the_rule_is_named(services: Services, clock: Clock) -> None:
    never = {"name": "tests", "match": {"label.env": "test"}, "enable": False}
    silent = taken(with_rules(services, [never]), an_alert(labels={"env": "test"}))
    assert (silent.state, silent.due_at, silent.rule) == (State.OPEN, None, "tests")
    words = " ".join(explain(silent, clock.now))
    assert "No page: the alert came in without on-call, by the rule 'tests'." in words
    assert "Rule: 'tests', which pages nobody." in words


def test_elements_of_an_array_go_their_own_ways(services: Services, clock: Clock) -> None:
    alerts = [an_alert(severity="low"), an_alert(service="payments-api"), an_alert()]
    received = receive(
        with_rules(services, [NIGHT, PAYMENTS]), [ReceivedAlert(one, "{}") for one in alerts], Options()
    )
    found = [one.incident for one in received]
    assert [one and one.rule for one in found] == ["not at night", "payments", None]
    assert [one and next(iter(one.pagers)) for one in found] == [PAGER, INFRA, PAGER]


def test_a_repeat_that_is_worse_ends_the_hold(services: Services, clock: Clock) -> None:
    ruled = with_rules(services, [NIGHT, PAYMENTS])
    held = taken(ruled, an_alert(severity="low", identity="one"))
    clock.wind(minutes=5)
    assert taken(ruled, an_alert(severity="low", identity="one")).due_at == held.due_at
    worse = taken(ruled, an_alert(severity="high", identity="one", service="payments"))
    assert (worse.due_at, worse.held_until) == (clock.now + timedelta(minutes=1), None)
    assert (worse.rule, set(worse.pagers)) == ("payments", {PAGER, INFRA})


def test_a_repeat_takes_nothing_away(services: Services, clock: Clock) -> None:
    ruled = with_rules(services, [NIGHT, PAYMENTS])
    first = taken(ruled, an_alert(severity="high", service="payments", identity="one"))
    clock.wind(seconds=10)
    # By itself it would be held; but the incident is high.
    again = taken(ruled, an_alert(severity="low", identity="one"))
    assert (again.due_at, list(again.pagers), again.held_until) == (first.due_at, [INFRA], None)
    never = {"name": "never", "match": {"source": "*"}, "enable": False}
    again = taken(with_rules(services, [never]), an_alert(identity="one"))
    assert (again.state, again.due_at, list(again.pagers)) == (State.PENDING, first.due_at, [INFRA])


def test_an_acknowledgement_that_ends_within_the_hours_does_not_page_in_them(
    services: Services, clock: Clock
) -> None:
    held = taken(with_rules(services, [NIGHT]), an_alert(severity="low"))
    actions.acknowledge(services, held.id, "Ada", 30)
    reopened = actions.unacknowledge(services, held.id, "Ada")
    assert (reopened.state, reopened.due_at) == (State.PENDING, held.due_at)


def test_a_person_who_asks_for_the_page_ends_a_hold(services: Services, clock: Clock) -> None:
    held = taken(with_rules(services, [NIGHT]), an_alert(severity="low"))
    paged = actions.escalate_now(services, held.id, "Ada")
    assert (paged.due_at, paged.held_until) == (clock.now, None)


def test_what_the_service_reports_is_never_held(services: Services, clock: Clock) -> None:
    rules: list[dict[str, Any]] = [{**NIGHT, "match": {"source": "versus"}}]
    own = report(with_rules(services, rules), "a", "One", "", severity="low")
    assert own.due_at == clock.now + timedelta(minutes=3)
    alert = an_alert(source="versus")
    for enabled in (rules, [{"name": "off", "match": {"source": "versus"}, "enable": False}]):
        oncall = with_rules(services, enabled).config.oncall
        decision = decide(alert, Options(), oncall, clock.now)
        assert (decision.held_until, decision.wait) == (None, timedelta(minutes=3))


def test_hours_after_one_another_hold_on(services: Services, clock: Clock) -> None:
    weekend = {**NIGHT, "name": "weekend", "hours": {"days": ["sat", "sun"], "time_zone": "Europe/Berlin"}}
    clock.now = datetime(2026, 3, 6, 22, 0, tzinfo=UTC)
    held = taken(with_rules(services, [weekend, NIGHT]), an_alert(severity="low"))
    assert (held.rule, held.held_until) == ("not at night", datetime(2026, 3, 9, 7, 0, tzinfo=UTC))


def test_hours_without_end_hold_for_days_and_no_longer(services: Services, clock: Clock) -> None:
    day = {**NIGHT, "name": "day", "hours": {"from": "08:00", "to": "20:00", "time_zone": "Europe/Berlin"}}
    held = taken(with_rules(services, [day, NIGHT]), an_alert(severity="low"))
    assert held.held_until == clock.now + timedelta(days=8)


# -- what the page says of its examples -----------------------------------------------------------------


def examples() -> list[tuple[list[dict[str, Any]], str, str, str]]:
    found = []
    for section in PAGE.split("\n## ")[1:]:
        for block in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL):
            assert len(block.strip().splitlines()) <= 5
            rows = re.findall(r"^\| `(\{.*?\})` \| `(.*?)` \| (.*?) \|$", section, re.MULTILINE)
            found += [(yaml.safe_load(block), *row) for row in rows]
    return found


def test_the_page_has_examples() -> None:
    assert len(examples()) == 6


@pytest.mark.parametrize(("rules", "body", "at", "words"), examples())
def test_the_page_about_rules_is_right(
    services: Services, rules: list[dict[str, Any]], body: str, at: str, words: str
) -> None:
    client = create_app(with_rules(services, rules)).test_client()
    headers = {"X-Gateway-Secret": GATEWAY_SECRET}
    answer = client.post(
        "/api/route", query_string={"at": at}, data=body, content_type="application/json", headers=headers
    )
    [decision] = answer.json["decisions"]  # type: ignore[index]
    assert (decision["in_words"], decision["rule"]) == (
        words,
        None if words.startswith("pages through default") else rules[0]["name"],
    )


# -- for any rules and any alert ------------------------------------------------------------------------

SEVERITY = st.sampled_from(["critical", "high", "medium", "low", "info"])
SERVICE = st.sampled_from(["payments", "checkout", "db"])
HOURS = st.builds(
    lambda days, begin, length: {
        "days": days,
        "from": f"{begin:02}:00",
        "to": f"{(begin + length) % 24:02}:00",
        "time_zone": "Europe/Berlin",
    },
    st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1, unique=True),
    st.integers(0, 23),
    st.integers(1, 23),
)
MATCH = st.fixed_dictionaries(
    {},
    optional={
        "severity": SEVERITY,
        "service": st.sampled_from(["pay*", "d?", "*", ""]),
        "label.env": SERVICE,
    },
).filter(bool)
RULE = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "c"]), "match": MATCH},
    optional={
        "hours": HOURS,
        "enable": st.booleans(),
        "wait_minutes": st.integers(0, 90),
        "alert_source": st.sampled_from(["infra", "default"]),
    },
)
BODY = st.fixed_dictionaries(
    {"title": st.just("Down")},
    optional={"severity": SEVERITY, "service": SERVICE, "labels": st.fixed_dictionaries({"env": SERVICE})},
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "oncall_enable": st.sampled_from(["true", "false"]),
        "oncall_wait_minutes": st.sampled_from(["0", "15"]),
        "incidentio_other_alert_source": st.just("infra"),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(RULE, max_size=4),
    st.lists(BODY, min_size=1, max_size=3),
    PARAMETERS,
    st.integers(0, 365 * 24),
    st.booleans(),
)
def test_what_is_said_is_what_is_done_and_hours_lose_nothing(
    services: Services,
    clock: Clock,
    rules: list[dict[str, Any]],
    bodies: list[dict[str, Any]],
    parameters: dict[str, str],
    hours: int,
    on_request: bool,
) -> None:
    clock.now = now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    ruled = with_rules(services, rules, initialized_only=on_request)
    client = create_app(ruled).test_client()
    sent = {
        "query_string": parameters,
        "data": json.dumps(bodies),
        "content_type": "application/json",
        "headers": {"X-Gateway-Secret": GATEWAY_SECRET},
    }
    said = client.post("/api/route", **sent).json["decisions"]  # type: ignore[index]
    # `versus route` prints what this gives.
    assert routed_body(ruled, json.dumps(bodies).encode(), parameters.items(), now)["decisions"] == said
    done = client.post("/api/incidents", **sent).json["incidents"]  # type: ignore[index]
    for decision, brief in zip(said, done, strict=True):
        incident = services.store.incidents.require(brief["id"])
        # Of one request they are a microsecond apart.
        assert decision["due_at"] == brief["due_at"]
        assert (decision["rule"], decision["held_until"]) == (brief["rule"], brief["held_until"])
        assert decision["destination"] in (None, *incident.pagers)
        wanted = parameters.get("oncall_enable", "false" if on_request else "true") == "true"
        deciding = next((one for one in rules if one["name"] == decision["rule"]), None)
        switched_off = any(one.get("enable") is False and "hours" not in one for one in rules)
        if wanted and (deciding is None or not switched_off or "oncall_enable" in parameters):
            assert incident.due_at is not None
        if incident.due_at is not None:
            assert now <= incident.due_at <= now + LONGEST_HOLD + timedelta(minutes=90, seconds=1)
            assert any(step.event == "firing" for _, step in incident.steps())
