"""The provider incident.io: what it sends, where, with which key, and within which limits."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses
from hypothesis import given, settings
from hypothesis import strategies as st
from incident_io.models.alert_events_create_http_payload_v2 import AlertEventsCreateHTTPPayloadV2

from app import __version__
from app.destinations.base import PagerEvent, RateLimit
from app.destinations.event_text import LABELS
from app.destinations.http import Http, HttpAnswer, NoAnswer
from app.destinations.incident_io.event import body
from app.destinations.incident_io.provider import IncidentIo
from app.domain.alert import SEVERITIES
from app.domain.delivery import Delivery, Outcome
from app.domain.delivery import EventKind as Kind
from app.domain.incident import Incident
from app.domain.timeline import Entry
from config import load_config
from local.simulator import Simulator
from tests.destinations.conftest import (
    KEY,
    NOON,
    OTHER_KEY,
    PAGE_URL,
    MakeProvider,
    an_event,
    an_incident,
    soon,
)
from tests.fakes import PAGER
from tests.test_sanitize import ANY_TEXT

Send = Callable[..., Outcome]
LARGEST = 256 * 1024


def fields(event: PagerEvent, title: str = "Incident id-1") -> dict[str, Any]:
    """The event's JSON, after a look at it by incident.io's own SDK."""
    raw = body(event, title)
    assert len(raw) <= LARGEST
    parsed: dict[str, Any] = json.loads(raw)
    payload = AlertEventsCreateHTTPPayloadV2.from_dict(parsed)
    assert payload.additional_properties == {}
    assert payload.to_dict() == parsed
    return parsed


# -- where it goes, and with which key -----------------------------------------------------------------


def test_a_page_is_an_alert_event(simulator: Simulator, send: Send) -> None:
    outcome = send()
    assert outcome == Outcome("delivered", "incident.io accepted the event: 202.")
    (event,) = simulator.events("id-1")
    assert (event.method, event.path) == ("POST", "/v2/alert_events/http/main")
    assert event.headers["content-type"] == "application/json"
    assert event.headers["user-agent"] == f"versus-incident/{__version__}"
    assert event.body["title"] == "Incident id-1"
    assert event.body["deduplication_key"] == "id-1"
    assert event.body["status"] == "firing"
    assert event.body["metadata"]["incident_id"] == "id-1"


def test_an_resolve_event_closes_the_alert(simulator: Simulator, provider: IncidentIo) -> None:
    provider.send(an_event(), deadline=soon())
    provider.send(PagerEvent("resolved", an_incident(), PAGE_URL), deadline=soon())
    assert simulator.alerts == {("main", "id-1"): "resolved"}


@pytest.mark.parametrize("kind", ["firing", "resolved"])
def test_every_attempt_has_the_same_key(kind: Kind) -> None:
    """After a crash, a second attempt must be the same alert at incident.io."""
    deliveries = [Delivery(attempts=attempts, failures=attempts) for attempts in (1, 2, 3, 100)]
    incidents = [an_incident(pagers={PAGER: delivery}) for delivery in deliveries]
    keys = {fields(PagerEvent(kind, incident, PAGE_URL))["deduplication_key"] for incident in incidents}
    assert keys == {"id-1"}


@pytest.mark.parametrize(
    ("alert_source", "source_id"), [("default", "main"), ("infra", "infra-id"), ("db", "db-id")]
)
def test_each_alert_source_has_its_id_and_its_key(
    simulator: Simulator, send: Send, alert_source: str, source_id: str
) -> None:
    assert send(alert_source=alert_source).verdict == "delivered"
    assert simulator.events()[0].source == source_id


def test_an_alternate_that_is_gone_pages_through_the_default_source(simulator: Simulator, send: Send) -> None:
    outcome = send(alert_source="removed")
    assert outcome.verdict == "delivered"
    assert outcome.detail.startswith(
        "Alert source 'removed' is not configured any more, so 'default' was used."
    )
    assert simulator.events()[0].source == "main"


def test_without_credentials_nothing_is_sent_and_the_outcome_says_why(tmp_path: Any) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("oncall: {enable: false}")
    provider = IncidentIo(load_config(path, {}))
    outcome = provider.send(an_event(), deadline=soon())
    assert outcome.verdict == "misconfigured"
    assert "INCIDENTIO_API_KEY" in outcome.detail
    assert provider.rate_limits("default") == []


@pytest.mark.parametrize(("given", "taken"), [(13.0, 10.0), (2.0, 2.0)])
def test_an_attempt_has_ten_seconds_in_all_or_what_is_left(
    provider: IncidentIo, given: float, taken: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, seconds = Http.post, []

    def watched(http: Http, url: str, body: bytes, **options: Any) -> HttpAnswer | NoAnswer:
        seconds.append(options["deadline"] - time.monotonic())
        return post(http, url, body, **options)

    monkeypatch.setattr(Http, "post", watched)
    provider.send(an_event(), deadline=soon(given))
    assert taken / 2 < seconds[0] <= taken


# -- what the answer becomes ---------------------------------------------------------------------------

VERDICTS = {2: "delivered", 3: "misconfigured", 4: "misconfigured", 5: "try_again"}


@pytest.mark.parametrize("status", range(200, 600))
def test_every_answer_becomes_an_outcome(make_provider: MakeProvider, status: int) -> None:
    with responses.RequestsMock() as mock:
        mock.post("https://api.incident.io/v2/alert_events/http/main", status=status, body=b"{}")
        outcome = make_provider().send(an_event(), deadline=soon())
        assert len(mock.calls) == 1
    expected = "try_again" if status in (408, 409, 429) else VERDICTS[status // 100]
    assert outcome.verdict == expected


@pytest.mark.parametrize(
    ("error", "verdict", "reason"),
    [
        (requests.ConnectTimeout(), "try_again", "timeout"),
        (requests.ReadTimeout(), "try_again", "timeout"),
        (requests.ConnectionError(f"echo {KEY}"), "try_again", "connection"),
        (requests.exceptions.SSLError(f"echo {KEY}"), "try_again", "tls"),
        (requests.exceptions.ProxyError(f"echo {KEY}"), "try_again", "connection"),
        (requests.exceptions.ChunkedEncodingError(), "try_again", "connection"),
        (requests.exceptions.InvalidProxyURL(f"echo {KEY}"), "misconfigured", "rejected"),
        (requests.exceptions.InvalidHeader(f"echo {KEY}"), "misconfigured", "rejected"),
        (OSError(5, f"echo {KEY}"), "try_again", "tls"),
        (TypeError(f"echo {KEY}"), "misconfigured", "rejected"),
    ],
)
def test_no_exception_gets_out_and_none_shows_the_key(
    make_provider: MakeProvider, error: Exception, verdict: str, reason: str
) -> None:
    with responses.RequestsMock() as mock:
        mock.post("https://api.incident.io/v2/alert_events/http/main", body=error)
        outcome = make_provider().send(an_event(), deadline=soon())
    assert (outcome.verdict, outcome.reason, outcome.uncertain) == (verdict, reason, False)
    assert KEY not in repr(outcome)


def test_a_server_that_echoes_the_key_does_not_bring_it_into_the_outcome(
    simulator: Simulator, send: Send
) -> None:
    said = {"request_id": KEY, "errors": [{"code": f"Bearer {KEY}", "message": OTHER_KEY}]}
    simulator.answer_next(401, body=said)
    assert KEY not in repr(send())
    simulator.answer_next(401, body=said)
    assert OTHER_KEY not in repr(send(alert_source="db"))


def test_a_refusal_of_incident_io_is_told_in_its_words(
    simulator: Simulator, make_provider: MakeProvider
) -> None:
    provider = make_provider(simulator.base_url, KEY="a-wrong-key")
    outcome = provider.send(an_event(), deadline=soon())
    assert outcome.reason == "unauthorized"
    assert "(request sim-" in outcome.detail
    assert "unauthorized: The API key is missing or wrong" in outcome.detail
    assert "a-wrong-key" not in repr(outcome)


def test_too_many_events_hold_everybody_back(make_provider: MakeProvider) -> None:
    with Simulator(keys={KEY: {"main"}}, per_minute=1) as simulator:
        provider = make_provider(simulator.base_url)
        assert provider.send(an_event(), deadline=soon()).verdict == "delivered"
        outcome = provider.send(an_event(), deadline=soon())
    assert (outcome.verdict, outcome.reason, outcome.back_off_all) == ("try_again", "rate_limited", True)
    assert outcome.not_before is not None
    assert 50 <= outcome.not_before <= 60


# -- the limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alert_source", "budgets"),
    [
        ("default", [RateLimit("source:default", 120), RateLimit("key:default", 1200)]),
        ("infra", [RateLimit("source:infra", 120), RateLimit("key:default", 1200)]),
        ("db", [RateLimit("source:db", 120), RateLimit("key:db", 1200)]),
        ("removed", [RateLimit("source:default", 120), RateLimit("key:default", 1200)]),
    ],
)
def test_sources_that_share_a_key_share_its_limit(
    make_provider: MakeProvider, alert_source: str, budgets: list[RateLimit]
) -> None:
    assert make_provider().rate_limits(alert_source) == budgets


def test_zero_switches_one_limit_off_and_no_other(make_provider: MakeProvider) -> None:
    assert make_provider(PER_MINUTE="0").rate_limits("default") == [
        RateLimit("source:default", 0),
        RateLimit("key:default", 1200),
    ]
    assert make_provider(PER_KEY="0").rate_limits("default") == [
        RateLimit("source:default", 120),
        RateLimit("key:default", 0),
    ]


# -- the fields ----------------------------------------------------------------------------------------


def test_the_title_is_what_the_template_says(simulator: Simulator, make_provider: MakeProvider) -> None:
    provider = make_provider(
        simulator.base_url,
        TITLE="{{ incident.severity }}:\n {{ incident.title }} {{ incident.labels.none }}!",
    )
    provider.send(an_event(severity="high"), deadline=soon())
    assert simulator.events()[0].body["title"] == "high: Disk almost full !"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 100 // (incident.occurrences - 7) }}",
        "{{ incident.labels.team.upper() }}",
        "{{ incident.service.upper() }}",
        "{{ range(10 ** incident.occurrences) | list }}",
        "{% if incident.service %}fine{% endif %} ",
    ],
)
def test_a_title_that_fails_or_is_empty_is_the_incident_id(
    simulator: Simulator, make_provider: MakeProvider, template: str
) -> None:
    provider = make_provider(simulator.base_url, TITLE=template)
    provider.send(an_event(occurrences=7), deadline=soon())
    assert simulator.events()[0].body["title"] == "Incident id-1"


def test_a_title_that_fails_is_logged(
    simulator: Simulator, make_provider: MakeProvider, log: io.StringIO
) -> None:
    provider = make_provider(simulator.base_url, TITLE="{{ incident.service.upper() }}")
    provider.send(an_event(), deadline=soon())
    assert "event=title_failed incident=id-1" in log.getvalue()


def test_the_description_says_what_a_person_needs_at_night() -> None:
    event = an_event(
        severity="critical",
        service="checkout",
        occurrences=3,
        started_at=NOON - timedelta(hours=1),
        description="`/var` is **92 %** full.\nSee the <runbook>.",
    )
    assert fields(event)["description"] == (
        "**Disk almost full**\n\n"
        "- Severity: critical\n"
        "- Service: checkout\n"
        "- Source: alertmanager\n"
        "- Since: 2026-11-23 11:00:00 UTC\n"
        "- Occurrences: 3\n"
        f"- [Acknowledge or read more]({PAGE_URL})\n\n"
        "`/var` is **92 %** full.\nSee the <runbook>."
    )


def test_the_description_says_who_was_notified_in_the_channels() -> None:
    stated = [
        Entry(NOON, "notified", "ops of the new incident"),
        Entry(NOON, "not_notified", "mail of the new incident: no answer, will try again"),
    ]
    description = fields(replace(an_event(), notified=tuple(stated)))["description"]
    assert f"- Notified ops of the new incident (at {NOON:%H:%M:%S})\n" in description
    assert "- Could not notify mail of the new incident: no answer, will try again (at " in description
    stated += [Entry(NOON, "notified", "ops that it became more severe")] * 50
    assert fields(replace(an_event(), notified=tuple(stated)))["description"].count("- Notified") == 9


def test_a_small_incident_has_a_small_description() -> None:
    assert fields(an_event())["description"] == (
        "**Disk almost full**\n\n- Source: alertmanager\n- Since: 2026-11-23 12:00:00 UTC\n"
        f"- [Acknowledge or read more]({PAGE_URL})"
    )


def test_a_resolve_event_says_who_and_when() -> None:
    incident = an_incident(pagers={PAGER: Delivery(uncertain=True)}).resolved(
        "alertmanager", NOON + timedelta(hours=2)
    )
    description = fields(PagerEvent("resolved", incident, PAGE_URL))["description"]
    assert "- Resolved: 2026-11-23 14:00:00 UTC by alertmanager\n" in description
    assert f"- [Read more]({PAGE_URL})" in description


@pytest.mark.parametrize(
    ("source_url", "expected"),
    [
        (None, PAGE_URL),
        ("https://alerts.example.com/1", "https://alerts.example.com/1"),
        ("https://alerts.example.com/" + "x" * 3000, PAGE_URL),
    ],
)
def test_the_link_leads_to_the_alert_or_to_the_incident(source_url: str | None, expected: str) -> None:
    assert fields(an_event(source_url=source_url))["source_url"] == expected


def test_the_metadata_is_flat_and_its_keys_are_stable() -> None:
    labels = {"app.kubernetes.io/name": "shop", "app_kubernetes_io_name": "second", "größe": "L", "empty": ""}
    event = an_event(severity="low", service="checkout", occurrences=2, labels=labels)
    assert fields(event)["metadata"] == {
        "incident_id": "id-1",
        "alert_title": "Disk almost full",
        "source": "alertmanager",
        "severity": "low",
        "service": "checkout",
        "occurrences": 2,
        "label_app_kubernetes_io_name": "shop",
        "label_größe": "L",
        "label_empty": "",
    }


def test_the_metadata_leaves_out_what_is_not_known() -> None:
    assert set(fields(an_event())["metadata"]) == {"incident_id", "alert_title", "source", "occurrences"}


def test_the_largest_event_stays_below_the_limit() -> None:
    widest = "\U0001f525"
    event = an_event(
        title=widest * 9_000,
        description=widest * 900_000,
        service=widest * 9_000,
        source=widest * 9_000,
        source_url="https://x/" + widest * 1_900,
        labels={f"{n}" + "\U00020000" * 900: widest * 9_000 for n in range(900)},
    )
    sent = fields(event, title=widest * 255)
    assert len(sent["metadata"]) == 6 - 1 + LABELS
    assert sent["description"].endswith("…")


@settings(max_examples=60, deadline=None)
@given(
    title=ANY_TEXT,
    words=st.one_of(ANY_TEXT, ANY_TEXT.map(lambda text: text * 5_000)),
    service=st.none() | ANY_TEXT,
    severity=st.none() | st.sampled_from(SEVERITIES),
    source_url=st.none() | ANY_TEXT,
    labels=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=80),
)
def test_whatever_a_sender_says_becomes_a_valid_event(
    title: str, words: str, service: str | None, severity: Any, source_url: str | None, labels: dict[str, str]
) -> None:
    incident: Incident = an_incident(
        title=title,
        description=words,
        service=service,
        severity=severity,
        source_url=source_url,
        labels=labels,
    )
    sent = fields(PagerEvent("firing", incident, PAGE_URL))
    assert len(sent["metadata"]) <= 60
    assert all(isinstance(value, (str, int)) for value in sent["metadata"].values())


def test_an_incident_that_is_not_stored_has_no_page_to_link_to() -> None:
    event = fields(PagerEvent("firing", an_incident(), None))
    assert "source_url" not in event
    assert "can't be acknowledged in Versus Incident" in event["description"]


# -- the heartbeat -------------------------------------------------------------------------------------


def test_a_heartbeat_is_a_ping_with_the_key(simulator: Simulator, make_provider: MakeProvider) -> None:
    outcome = make_provider(simulator.base_url, HEARTBEAT="main").ping(deadline=soon())
    assert outcome is not None
    assert outcome.verdict == "delivered"
    [request] = simulator.requests
    assert (request.method, request.path) == ("POST", "/v2/heartbeat/main/ping")
    assert (request.authorized, request.status) == (True, 204)


def test_a_heartbeat_that_is_refused_says_what_to_fix(
    simulator: Simulator, make_provider: MakeProvider
) -> None:
    outcome = make_provider(simulator.base_url, HEARTBEAT="nowhere").ping(deadline=soon())
    assert outcome is not None
    assert outcome.verdict == "misconfigured"
    assert "heartbeat_config_id" in outcome.detail


def test_without_a_heartbeat_nothing_is_sent(provider: IncidentIo, simulator: Simulator) -> None:
    assert provider.ping(deadline=soon()) is None
    assert simulator.requests == []
