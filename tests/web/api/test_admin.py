"""The admin API: who may use it, what it lists, and what it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from app.bootstrap import Services
from app.delivery.notifications import notify
from app.delivery.pages import deliver
from app.destinations.channels import Channels
from app.domain.delivery import Destination, Outcome
from app.web import create_app
from config import ChannelSettings
from tests.fakes import GATEWAY_SECRET, INFRA, PAGER, Clock, RecordingChannel, RecordingProvider
from tests.web.conftest import Report

NOBODY = "8a1f0a52-7d0c-4c1b-9a55-0d4c7b1f0000"

ROUTES = [
    ("GET", "/api/incidents"),
    ("GET", "/api/incidents/{id}"),
    ("POST", "/api/incidents/{id}/ack"),
    ("POST", "/api/incidents/{id}/resolve"),
    ("POST", "/api/incidents/{id}/escalate"),
    ("GET", "/api/rejected"),
]


def listed(admin: FlaskClient, **query: Any) -> list[str]:
    """The titles of one page of the list."""
    answer = admin.get("/api/incidents", query_string=query)
    assert answer.status_code == 200, answer.text
    return [incident["title"] for incident in answer.get_json()["incidents"]]


def shown(admin: FlaskClient, incident: dict[str, Any]) -> dict[str, Any]:
    answer = admin.get(f"/api/incidents/{incident['id']}")
    assert answer.status_code == 200
    whole: dict[str, Any] = answer.get_json()
    return whole


# -- the guard ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [None, "", "wrong", GATEWAY_SECRET + "x", GATEWAY_SECRET[:-1], "ÿ"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_told_or_done_without_the_gateway_secret(
    client: FlaskClient, services: Services, report: Report, method: str, path: str, secret: str | None
) -> None:
    incident = report()
    before = services.store.incidents.require(incident["id"])
    headers = {} if secret is None else {"X-Gateway-Secret": secret}
    answer = client.open(path.format(id=incident["id"]), method=method, headers=headers)
    assert answer.status_code == 401
    assert "X-Gateway-Secret" in answer.get_json()["error"]
    assert GATEWAY_SECRET not in answer.text
    assert services.store.incidents.require(incident["id"]) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_unknown_incident_is_told_to_nobody_without_the_secret(
    client: FlaskClient, method: str, path: str
) -> None:
    assert client.open(path.format(id=NOBODY), method=method).status_code == 401


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_served_without_a_gateway_secret_in_the_configuration(
    services: Services, method: str, path: str
) -> None:
    config = services.config.model_copy(update={"gateway_secret": None})
    client = create_app(replace(services, config=config)).test_client()
    for secret in ("", GATEWAY_SECRET, "None"):
        answer = client.open(path.format(id=NOBODY), method=method, headers={"X-Gateway-Secret": secret})
        assert answer.status_code in (404, 405)
    assert client.post("/api/incidents", json={}).status_code == 201


# -- the list -----------------------------------------------------------------------------------------


def test_the_list_is_newest_first(admin: FlaskClient, report: Report, clock: Clock) -> None:
    assert admin.get("/api/incidents").get_json() == {"incidents": [], "cursor": None}
    for title in ("first", "second", "third"):
        report(title=title)
        clock.wind(seconds=1)
    assert listed(admin) == ["third", "second", "first"]


def test_the_list_is_filtered_by_state(admin: FlaskClient, report: Report) -> None:
    report({"oncall_enable": "false"}, title="open")
    report(title="pending")
    report(title="resolved", deduplication_key="r")
    report(title="resolved", deduplication_key="r", status="resolved")
    admin.post(f"/api/incidents/{report(title='acknowledged')['id']}/ack")
    for state in ("open", "pending", "resolved", "acknowledged"):
        assert listed(admin, state=state) == [state]
    for state in ("escalating", "escalated", "failed"):
        assert listed(admin, state=state) == []
    assert len(listed(admin, state="")) == 4


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("disk", True),
        ("DISK full", True),
        ("full disk", True),
        ("payments", True),
        ("grafana", True),
        ("straße", True),
        ("STRASSE", True),
        ("", True),
        ("  ", True),
        ("disk empty", False),
        (".*", False),
        ("%", False),
    ],
)
def test_the_list_is_searched_by_words(admin: FlaskClient, report: Report, words: str, found: bool) -> None:
    report(title="Disk full", description="In der Straße", service="payments", source="grafana")
    assert listed(admin, q=words) == ["Disk full"] * found


def test_an_incident_is_found_by_its_id(admin: FlaskClient, report: Report) -> None:
    wanted = report(title="wanted")
    report(title="other")
    assert listed(admin, q=wanted["id"]) == ["wanted"]


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 5, 6])
def test_the_cursor_leads_through_the_whole_list(
    admin: FlaskClient, report: Report, clock: Clock, total: int
) -> None:
    for n in range(total):
        report(title=f"n {n}")
        clock.wind(seconds=1)
    titles: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = admin.get("/api/incidents", query_string=query).get_json()
        titles += [incident["title"] for incident in page["incidents"]]
        if page["cursor"] is None:
            break
        assert len(page["incidents"]) == 2
        query["cursor"] = page["cursor"]
    assert titles == [f"n {n}" for n in reversed(range(total))]


def test_the_cursor_skips_none_of_those_that_came_at_the_same_moment(
    admin: FlaskClient, report: Report
) -> None:
    for n in range(3):
        report(title=f"n {n}")
    first = admin.get("/api/incidents?limit=2").get_json()
    titles = [incident["title"] for incident in first["incidents"]]
    titles += listed(admin, limit=2, cursor=first["cursor"])
    assert sorted(titles) == ["n 0", "n 1", "n 2"]


def test_the_cursor_works_together_with_state_and_words(
    admin: FlaskClient, report: Report, clock: Clock
) -> None:
    for n in range(6):
        report({"oncall_enable": "true" if n % 2 else "false"}, title=f"n {n}")
        clock.wind(seconds=1)
    page = admin.get("/api/incidents?state=pending&q=n&limit=2").get_json()
    assert [incident["title"] for incident in page["incidents"]] == ["n 5", "n 3"]
    assert listed(admin, state="pending", q="n", limit=2, cursor=page["cursor"]) == ["n 1"]


def test_the_list_has_50_on_a_page_unless_told_otherwise(client: FlaskClient, admin: FlaskClient) -> None:
    client.post("/api/incidents", json=[{"title": f"n {n}"} for n in range(60)])
    assert (len(listed(admin)), len(listed(admin, limit=500)), len(listed(admin, limit=1))) == (50, 60, 1)


BAD_LIMITS = ["0", "-1", "501", "1.5", "x", "", "٣", "1_0", " 5", "9" * 1000, "0000000019999"]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *[("limit", value) for value in BAD_LIMITS],
        *[("cursor", value) for value in ("x", "", "1,2", "nan", "(1", "1 2", "%00")],
        *[("state", value) for value in ("x", "PENDING", "pending ", "*", "__class__")],
    ],
)
def test_a_bad_parameter_is_refused_in_one_sentence(
    admin: FlaskClient, report: Report, parameter: str, value: str
) -> None:
    report()
    answer = admin.get("/api/incidents", query_string={parameter: value})
    assert answer.status_code == 400
    assert parameter in answer.get_json()["error"]


# -- one incident -------------------------------------------------------------------------------------

FIELDS = {
    *("id", "state", "title", "description", "severity", "service", "source", "source_url", "started_at"),
    *("labels", "created_at", "due_at", "acknowledged_at", "acknowledged_by", "escalated_at", "resolved_at"),
    *("acknowledged_until", "previous_id", "next_id"),
    *("held_until", "rule", "silenced_until"),
    *("failed_at", "alert_source", "attempts", "last_error", "last_reason", "ack_url", "occurrences"),
    *("deliveries", "payload", "timeline"),
}


def test_an_incident_is_shown_whole(admin: FlaskClient, report: Report) -> None:
    body = {
        "title": "Disk full",
        "description": "98 % of /var",
        "severity": "critical",
        "service": "db",
        "source": "cron",
        "source_url": "https://example.com/a/1",
        "started_at": "2026-03-04T02:59:00+00:00",
        "labels": {"host": "db-7", "n": 1},
    }
    incident = shown(admin, report({"incidentio_other_alert_source": "infra"}, **body))
    assert set(incident) == FIELDS
    assert incident["payload"] == body
    same = ("title", "description", "severity", "service", "source", "source_url")
    assert {name: incident[name] for name in same} == {name: body[name] for name in same}
    assert incident["started_at"] == "2026-03-04T02:59:00.000Z"
    assert incident["labels"] == {"host": "db-7", "n": "1"}
    assert (incident["alert_source"], incident["attempts"], incident["occurrences"]) == ("infra", 0, 1)
    assert [set(entry) for entry in incident["timeline"]] == [{"at", "event", "detail"}] * 2
    assert [entry["event"] for entry in incident["timeline"]] == ["received", "waiting"]


def test_an_incident_shows_what_each_destination_has_of_it(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    made = {name: RecordingChannel() for name in ("ops", "night")}
    channels = Channels([ChannelSettings(name, SecretStr("x")) for name in made], made)
    watched = replace(services, channels=channels)
    admin = create_app(watched).test_client()
    admin.environ_base["HTTP_X_GATEWAY_SECRET"] = GATEWAY_SECRET
    incident = admin.post("/api/incidents", json={"title": "Disk full"}).get_json()["incident"]
    untried = {"delivered": None, "attempts": 0, "last_error": None}
    due = incident["due_at"]
    assert shown(admin, incident)["deliveries"] == [
        {"destination": "incident_io/default", **untried, "next_attempt_at": due}
    ]
    made["night"].answers = [Outcome("try_again", "503: try later", "server_error")]
    for name in ("ops", "night"):
        notify(watched, Destination(name), incident["id"])
    clock.wind(minutes=3)
    provider.outcomes = [Outcome("try_again", "500: try later", "server_error")]
    deliver(watched, incident["id"])
    page, ops, night = shown(admin, incident)["deliveries"]
    assert (page["attempts"], page["delivered"], page["last_error"]) == (1, None, "500: try later")
    assert "2026-03-04T03:03:00.000Z" < page["next_attempt_at"] < "2026-03-04T03:03:03.000Z"
    assert ops == {
        **untried,
        "destination": "ops",
        "delivered": "created",
        "attempts": 1,
        "next_attempt_at": None,
    }
    assert (night["destination"], night["attempts"], night["delivered"]) == ("night", 1, None)
    assert (night["last_error"], night["next_attempt_at"] > incident["created_at"]) == (
        "503: try later",
        True,
    )
    clock.wind(minutes=1)
    deliver(watched, incident["id"])
    after = shown(admin, incident)
    assert after["deliveries"][0] == {
        **untried,
        "destination": "incident_io/default",
        "delivered": "firing",
        "attempts": 2,
        "next_attempt_at": None,
    }
    assert [entry["detail"] for entry in after["timeline"] if entry["event"] == "notified"] == [
        "ops of the new incident"
    ]


def test_two_alert_sources_are_two_deliveries(
    admin: FlaskClient, services: Services, report: Report, clock: Clock
) -> None:
    report(deduplication_key="k")
    incident = report({"incidentio_other_alert_source": "infra"}, deduplication_key="k")
    clock.wind(minutes=3)
    for pager in (PAGER, INFRA):
        deliver(services, incident["id"], [pager])
    deliveries = shown(admin, incident)["deliveries"]
    assert [(one["destination"], one["delivered"]) for one in deliveries] == [
        ("incident_io/default", "firing"),
        ("incident_io/infra", "firing"),
    ]


def test_what_is_not_known_is_null(admin: FlaskClient, report: Report) -> None:
    incident = shown(admin, report({"oncall_enable": "false"}))
    unknown = {"severity", "service", "source_url", "started_at", "due_at", "acknowledged_at"} | {
        *("acknowledged_by", "escalated_at", "resolved_at", "last_error", "ack_url")
    }
    assert {name: incident[name] for name in unknown} == dict.fromkeys(unknown)


def test_a_paged_incident_shows_when_and_what_the_provider_said(
    admin: FlaskClient, services: Services, report: Report, clock: Clock
) -> None:
    incident = report()
    clock.wind(minutes=3)
    deliver(services, incident["id"])
    after = shown(admin, incident)
    assert (after["state"], after["attempts"]) == ("escalated", 1)
    assert after["escalated_at"] == "2026-03-04T03:03:00.000Z"
    assert after["ack_url"] is not None


# -- actions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "status", "state"),
    [
        ("ack", "acknowledged", "acknowledged"),
        ("resolve", "resolved", "resolved"),
        ("escalate", "escalating", "pending"),
    ],
)
@pytest.mark.parametrize("start", ["true", "false"])
def test_an_action_answers_with_the_incident_as_it_is_now(
    admin: FlaskClient, report: Report, action: str, status: str, state: str, start: str
) -> None:
    incident = report({"oncall_enable": start})
    answer = admin.post(f"/api/incidents/{incident['id']}/{action}")
    assert (answer.status_code, answer.get_json()["status"]) == (200, status)
    assert answer.get_json()["incident"] == shown(admin, incident)
    assert answer.get_json()["incident"]["state"] == state


@pytest.mark.parametrize("action", ["ack", "resolve"])
def test_the_same_action_again_changes_nothing(admin: FlaskClient, report: Report, action: str) -> None:
    path = f"/api/incidents/{report()['id']}/{action}"
    first, second = admin.post(path, json={"by": "ann"}), admin.post(path, json={"by": "bob"})
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.get_json()["incident"] == second.get_json()["incident"]


def test_an_acknowledged_incident_pages_nobody(
    admin: FlaskClient, services: Services, report: Report, clock: Clock, provider: RecordingProvider
) -> None:
    incident = report()
    admin.post(f"/api/incidents/{incident['id']}/ack")
    clock.wind(minutes=3)
    deliver(services, incident["id"])
    assert provider.events == []


def test_escalate_now_pages_now(
    admin: FlaskClient, services: Services, report: Report, provider: RecordingProvider
) -> None:
    incident = report({"oncall_enable": "false"})
    admin.post(f"/api/incidents/{incident['id']}/escalate")
    deliver(services, incident["id"])
    assert provider.notified() == [("firing", incident["id"])]
    again = admin.post(f"/api/incidents/{incident['id']}/escalate")
    assert (again.status_code, "went out" in again.get_json()["error"]) == (409, True)


@pytest.mark.parametrize("action", ["ack", "escalate"])
def test_a_resolved_incident_refuses_what_makes_no_sense_any_more(
    admin: FlaskClient, report: Report, action: str
) -> None:
    incident = report()
    admin.post(f"/api/incidents/{incident['id']}/resolve")
    answer = admin.post(f"/api/incidents/{incident['id']}/{action}")
    assert (answer.status_code, "resolved" in answer.get_json()["error"]) == (409, True)
    assert shown(admin, incident)["state"] == "resolved"


@pytest.mark.parametrize("name", [NOBODY, "x", "%20", "..%2f..", "%00", "a" * 3000, "*", "ÿ"])
@pytest.mark.parametrize(("method", "action"), [("GET", ""), *[("POST", a) for a in ("/ack", "/resolve")]])
def test_an_unknown_incident_is_a_404(admin: FlaskClient, name: str, method: str, action: str) -> None:
    answer = admin.open(f"/api/incidents/{name}{action}", method=method)
    assert (answer.status_code, "error" in answer.get_json()) == (404, True)


@pytest.mark.parametrize(
    ("by", "recorded"),
    [
        ("ann", "ann"),
        (" ann  of\nops\x00 ", "ann of ops"),
        ("<b>ann</b>", "<b>ann</b>"),
        ("x" * 500, "x" * 99 + "…"),
        ("\x00", "admin API"),
        ("\ud800", "admin API"),
        ("", "admin API"),
        ("  ", "admin API"),
        (None, "admin API"),
        (7, "admin API"),
        (["ann"], "admin API"),
    ],
)
def test_by_says_who_acknowledged(admin: FlaskClient, report: Report, by: Any, recorded: str) -> None:
    answer = admin.post(f"/api/incidents/{report()['id']}/ack", json={"by": by})
    incident = answer.get_json()["incident"]
    assert incident["acknowledged_by"] == recorded
    assert incident["timeline"][-1]["detail"] == f"by {recorded}"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'"ann"', b"[" * 100_000, b'{"by": ' + b"[" * 100_000]
)
def test_a_body_that_makes_no_sense_does_not_keep_anybody_from_acting(
    admin: FlaskClient, report: Report, body: bytes
) -> None:
    path = f"/api/incidents/{report()['id']}/ack"
    answer = admin.post(path, data=body, content_type="application/json")
    assert answer.status_code == 200
    assert answer.get_json()["incident"]["acknowledged_by"] == "admin API"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_redis_away_is_a_503(without_redis: Services, method: str, path: str) -> None:
    client = create_app(without_redis).test_client()
    answer = client.open(path.format(id=NOBODY), method=method, headers={"X-Gateway-Secret": GATEWAY_SECRET})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Redis" in answer.get_json()["error"]


def test_an_acknowledgement_may_have_an_end_and_be_taken_back(admin: FlaskClient, report: Report) -> None:
    path = f"/api/incidents/{report()['id']}"
    shown = admin.post(f"{path}/ack", json={"by": "dana", "minutes": 0.5}).get_json()["incident"]
    assert (shown["state"], shown["acknowledged_until"]) == ("acknowledged", "2026-03-04T03:00:30.000Z")
    for _ in range(2):
        answer = admin.post(f"{path}/unack", json={"by": "dana"}).get_json()
        assert (answer["status"], answer["incident"]["state"]) == ("unacknowledged", "pending")
        assert answer["incident"]["acknowledged_until"] is None
    for minutes in (0, -1, 10081, True, [1], "soon"):
        assert admin.post(f"{path}/ack", json={"minutes": minutes}).status_code == 400
