"""What the samples of the senders leave open: other effects, keys, severities, and bodies with holes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from app.domain.alert import Effect
from app.ingest.webhooks import (
    azure,
    chat,
    cloudwatch,
    code,
    datadog,
    fluentbit,
    monitoring,
    read,
    security,
    sentry,
    table,
    zabbix,
)
from app.ingest.webhooks.coerce import Webhook
from app.ingest.webhooks.field_map import FieldMap, all_of, always, by, first_of, join
from tests.ingest.webhooks.samples import SAMPLES, alert_of

Body = dict[str, Any]


def sample(name: str, path: str = "", value: object = None, **changes: object) -> Body:
    """A sample's body with other top-level fields, or another value at the end of a path."""
    body: Body = {**SAMPLES[name]["body"], **changes}
    *steps, last = path.split(".")
    inner = body
    for step in steps:
        inner[step] = dict(inner[step])
        inner = inner[step]
    if last:
        inner[last] = value
    return body


EFFECTS: list[tuple[str, str, dict[Any, str]]] = [
    ("grafana_05_legacy_alerting", "state", {"no_data": "firing", "paused": "firing", "OK": "resolved"}),
    ("newrelic_01_activated", "state", {"CREATED": "firing", "DEACTIVATED": "resolved", "x": "firing"}),
    (
        "uptimekuma_01_down",
        "heartbeat.status",
        {1: "resolved", 2: "note", 3: "note", 0: "firing", 9: "firing"},
    ),
    ("kibana_01_active", "alert.actionGroup", {"Recovered": "resolved", "noData": "firing"}),
    ("gcp_01_open", "incident.state", {"CLOSED": "resolved", "unknown": "firing", None: "firing"}),
    ("azure_01_fired", "data.essentials.monitorCondition", {"resolved": "resolved", "x": "firing"}),
    ("pagerduty_03_full", "event_action", {"trigger": "firing", "Resolve": "resolved", "x": "firing"}),
    (
        "opsgenie_02_webhook_create",
        "action",
        {
            "Acknowledge": "acknowledged",
            "Delete": "resolved",
            "UnAcknowledge": "unacknowledged",
            "AssignOwnership": "note",
        },
    ),
    ("healthchecks_01_down", "status", {"grace": "note", "new": "note", "paused": "note", "up": "resolved"}),
    ("pingdom_01_down", "current_state", {"SUCCESS": "resolved", "UNKNOWN": "firing", "FAILING": "firing"}),
    (
        "checkly_01_failure",
        "alert_type",
        {"ALERT_DEGRADED": "firing", "ALERT_DEGRADED_RECOVERY": "resolved", "ALERT_SSL": "firing"},
    ),
    ("uptimerobot_01_down", "alertType", {"2": "resolved", 2: "resolved", "3": "firing", 1: "firing"}),
    (
        "icinga_01_problem",
        "notification_type",
        {"DOWNTIMESTART": "note", "FLAPPINGSTART": "note", "CUSTOM": "note", "recovery": "resolved"},
    ),
    ("apprise_01_failure", "type", {"success": "resolved", "info": "firing", "warning": "firing"}),
    (
        "sentry_01_issue_created",
        "action",
        {"unresolved": "firing", "ignored": "resolved", "archived": "resolved"},
    ),
    ("sentry_05_metric_warning", "action", {"critical": "firing", "x": "firing", "resolved": "resolved"}),
    ("datadog_05_template_triggered", "alert_transition", {"No Data": "firing", "Recovered": "resolved"}),
    ("datadog_05_template_triggered", "alert_type", {"success": "resolved", "warning": "firing"}),
    ("zabbix_01_problem", "event_value", {"0": "resolved", 0: "resolved", "{EVENT.VALUE}": "firing"}),
    (
        "zabbix_01_problem",
        "event_update_status",
        {1: "note", "0": "firing", "{EVENT.UPDATE.STATUS}": "firing"},
    ),
    (
        "betterstack_01_started",
        "data.attributes.resolved_at",
        {"": "firing", "2026-03-04T09:00:00Z": "resolved"},
    ),
]


@pytest.mark.parametrize(
    ("name", "path", "word", "effect"),
    [(name, path, word, effect) for name, path, words in EFFECTS for word, effect in words.items()],
)
def test_a_word_of_the_sender_has_its_effect(name: str, path: str, word: object, effect: str) -> None:
    alert = read(sample(name, path, word))
    assert alert.source == alert_of(name).source
    assert alert.effect == effect


@pytest.mark.parametrize(
    ("name", "changes", "title"),
    [
        ("opsgenie_03_webhook_note", {}, "AddNote: looking"),
        ("zabbix_02_update", {}, "commented: looking"),
        ("zabbix_02_update", {"event_update_action": None, "event_update_message": "{x"}, "{x"),
        ("zabbix_02_update", {"event_update_action": "", "event_update_message": ""}, "Zabbix agent is not"),
        ("sentry_04_issue_assigned", {}, "assigned"),
        ("healthchecks_01_down", {"status": "paused"}, "paused"),
        (
            "icinga_02_acknowledgement",
            {"notification_type": "DOWNTIMESTART"},
            "DOWNTIMESTART: ada: on it",
        ),
    ],
)
def test_a_note_says_what_happened(name: str, changes: Body, title: str) -> None:
    alert = read(sample(name, **changes))
    assert alert.effect is Effect.NOTE
    assert alert.heading.startswith(title)


SEVERITIES: list[tuple[str, str, dict[Any, str | None]]] = [
    (
        "azure_01_fired",
        "data.essentials.severity",
        {"Sev0": "critical", "Sev2": "medium", "Sev3": "info", "Sev4": "info"},
    ),
    ("opsgenie_02_webhook_create", "alert.priority", {"P1": "critical", 2: "high", "3": "medium", 5: "info"}),
    (
        "checkly_01_failure",
        "alert_type",
        {"ALERT_DEGRADED": "medium", "ALERT_SSL": "low", "ALERT_NEW": "high"},
    ),
    ("uptimerobot_01_down", "alertType", {"3": "low", 1: None}),
    (
        "icinga_01_problem",
        "state",
        {"DOWN": "critical", "UNREACHABLE": "high", "UNKNOWN": "medium", "WARNING": "medium"},
    ),
    ("apprise_01_failure", "type", {"warning": "medium", "info": "info", "success": None}),
    ("gcp_01_open", "incident.severity", {"No severity": None, "Error": "high", "WARNING": "medium"}),
    ("zabbix_01_problem", "event_nseverity", {"5": "critical", 3: "medium", "2": "low", 1: "info", 0: None}),
    (
        "datadog_01_default_triggered",
        "title",
        {"[Warn on {host:a}] x": "medium", "[P1] [Triggered] x": "critical"},
    ),
    ("datadog_05_template_triggered", "alert_priority", {"P4": "low", "": "high", "$ALERT_PRIORITY": "high"}),
]


@pytest.mark.parametrize(
    ("name", "path", "word", "severity"),
    [(name, path, word, severity) for name, path, words in SEVERITIES for word, severity in words.items()],
)
def test_a_word_of_the_sender_is_a_severity(name: str, path: str, word: object, severity: str | None) -> None:
    assert read(sample(name, path, word)).severity == severity


SERVICES: list[tuple[str, str, object, str | None]] = [
    ("kibana_01_active", "", None, "catalog"),
    ("datadog_05_template_triggered", "tags", "env:prod", None),
    ("zabbix_01_problem", "event_tags", '[{"tag":"scope","value":"x"}]', "db-01.example.com"),
    ("zabbix_01_problem", "event_tags", "service:billing, scope:x", "billing"),
    ("zabbix_01_problem", "event_tags", [{"tag": "service", "value": "billing"}], "billing"),
    ("zabbix_01_problem", "event_tags", "[{broken", "db-01.example.com"),
    ("healthchecks_01_down", "", None, "db"),
    ("healthchecks_01_down", "tags", "prod", "Nightly backup"),
    ("azure_01_fired", "data.essentials.configurationItems", [], "shop-vm-2"),
    ("checkly_01_failure", "group_name", "", "Cart API"),
    ("icinga_01_problem", "service_name", "$SERVICEDESC$", "db-01"),
    ("opsgenie_02_webhook_create", "alert.details", {}, "pg-main"),
    ("sentry_02_event_alert_same_issue", "", None, "checkout-web"),
    ("fluentbit_03_versus_tutorial", "ServiceName", None, None),
]


@pytest.mark.parametrize(("name", "path", "value", "service"), SERVICES)
def test_the_service_is_where_the_sender_has_it(
    name: str, path: str, value: object, service: str | None
) -> None:
    assert read(sample(name, path, value)).service == service


# Each pair speaks of the same problem, or of two.
SAME = [
    ("uptimerobot_01_down", {"alertType": 2, "monitorID": 777749809}),
    ("checkly_01_failure", {"alert_type": "ALERT_DEGRADED"}),
    ("healthchecks_01_down", {"uuid": None, "code": "f618072a-7bde-4eee-af63-71a77c5723bc"}),
    ("zabbix_01_problem", {"event_id": 10529}),
    ("datadog_01_default_triggered", {"title": "[P2] [Warn on {host:web-1}] CPU is high on web-1"}),
    ("sentry_01_issue_created", {"action": "assigned", "actor": None}),
    ("icinga_01_problem", {"source": "Icinga 2"}),
]
OTHER = [
    ("uptimerobot_01_down", {"alertType": "3"}),
    ("checkly_01_failure", {"alert_type": "ALERT_SSL"}),
    ("icinga_01_problem", {"source": "nagios"}),
    ("icinga_01_problem", {"service_name": "disk"}),
    ("icinga_01_problem", {"service_name": ""}),
    ("pagerduty_03_full", {"routing_key": "another"}),
    ("datadog_01_default_triggered", {"org": {"id": 7}}),
    ("grafana_05_legacy_alerting", {"orgId": 2}),
]


@pytest.mark.parametrize(("name", "changes"), SAME)
def test_it_is_the_same_problem(name: str, changes: Body) -> None:
    assert read(sample(name, **changes)).identity == alert_of(name).identity is not None


@pytest.mark.parametrize(("name", "changes"), OTHER)
def test_it_is_another_problem(name: str, changes: Body) -> None:
    other = read(sample(name, **changes)).identity
    assert other is not None
    assert other != alert_of(name).identity


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("pagerduty_03_full", {"dedup_key": None}),
        ("zabbix_01_problem", {"event_id": "{EVENT.ID}"}),
        ("uptimerobot_01_down", {"monitorID": "*monitorID*"}),
        (
            "datadog_05_template_triggered",
            {"alert_cycle_key": "$ALERT_CYCLE_KEY", "aggreg_key": "", "alert_scope": None},
        ),
        ("datadog_01_default_triggered", {"org": {}}),
        ("gcp_01_open", {"incident": {"incident_id": True}}),
    ],
)
def test_without_its_keys_a_known_sender_has_no_identity(name: str, changes: Body) -> None:
    alert = read(sample(name, **changes))
    assert alert.source == alert_of(name).source
    assert alert.identity is None


def test_no_two_senders_share_a_key() -> None:
    identities: dict[str, str] = {}
    for one in (
        {"issueUrl": "x", "state": "x", "id": "k"},
        {"check_id": "k", "current_state": "x", "previous_state": "x"},
        {"check_id": "k", "alert_type": "ALERT_FAILURE"},
        {"monitorID": "k", "alertType": 1},
        {"event_id": "k", "event_value": 1},
        {"incident": {"incident_id": "k"}},
        {"action": "Create", "alert": {"alertId": "k"}},
        {"message": "m", "alias": "k", "priority": "P1"},
        {"message": "m", "alias": "k"},
        {"ping_url": "x", "uuid": "k"},
        {"data": {"type": "incident", "id": "k", "attributes": {"started_at": "x"}}},
        {"data": {"issue": {"id": "k"}}},
        {"data": {"metric_alert": {"id": "k"}}},
        {"deduplication_key": "k"},
    ):
        alert = read(one)
        assert alert.identity is not None
        assert identities.setdefault(alert.identity, repr(one)) == repr(one)


@pytest.mark.parametrize(
    ("body", "source", "title"),
    [
        ({"monitorID": 1, "alertType": 1, "title": "from elsewhere"}, "uptimerobot", "from elsewhere"),
        ({"monitorID": 1, "alertType": 1}, "uptimerobot", "Incident from uptimerobot"),
        ({"incident": {"incident_id": 1, "policy_name": []}, "summary": "s"}, "gcp", "s"),
        ({"incident": {"incident_id": 1, "condition_name": "c"}}, "gcp", "c"),
        ({"incident": {"incident_id": None}, "title": "t"}, "generic", "t"),
        ({"incident": "x", "title": "t"}, "generic", "t"),
        ({"schemaId": "azureMonitorCommonAlertSchema", "data": []}, "azure", "Incident from azure"),
        ({"heartbeat": None, "monitor": None, "msg": 5}, "uptimekuma", "Incident from uptimekuma"),
        ({"heartbeat": None, "msg": "x"}, "generic", "x"),
        ({"version": "1.0", "title": "", "message": "first\nsecond", "type": "info"}, "apprise", "first"),
        ({"check_id": 1, "alert_type": "OTHER", "title": "t"}, "generic", "t"),
        ({"data": {"type": "monitor", "attributes": {"started_at": "x"}}, "title": "t"}, "generic", "t"),
        ({"source": "healthchecks", "code": "c", "check": "Backup"}, "healthchecks", "Backup"),
        (
            {"condition_name": "CPU", "current_state": "open", "incident_id": 5, "details": "d"},
            "newrelic",
            "CPU: d",
        ),
        ({"rule_id": "r", "alert_id": "a", "rule_name": "CPU"}, "kibana", "CPU"),
    ],
)
def test_what_is_half_of_a_known_form_is_completed_by_the_general_rules(
    body: Body, source: str, title: str
) -> None:
    alert = read(body)
    assert (alert.source, alert.heading) == (source, title)


REPOSITORY = {"repository": {"full_name": "acme/shop"}}
PROJECT = {
    "project": {"id": 1, "path_with_namespace": "acme/shop", "web_url": "https://gitlab.example.com/a"}
}
MORE: list[tuple[Body, str, str, str]] = [
    (
        {
            "status": "Resolved",
            "context": {"id": "/x", "name": "cpu", "portalLink": "https://portal.example.com"},
        },
        "azure",
        "resolved",
        "cpu",
    ),
    (
        {
            "schemaId": "Microsoft.Insights/activityLogs",
            "data": {
                "status": "Activated",
                "context": {
                    "activityLog": {
                        "properties": {"title": "SQL is down", "trackingId": "K7", "stage": "RCA"}
                    }
                },
            },
        },
        "azure",
        "note",
        "SQL is down",
    ),
    (
        {**REPOSITORY, "check_run": {"id": 1, "name": "lint", "conclusion": "timed_out"}},
        "github",
        "firing",
        "acme/shop: lint: timed_out",
    ),
    (
        {**REPOSITORY, "check_suite": {"id": 1, "conclusion": None, "status": "in_progress"}},
        "github",
        "note",
        "acme/shop",
    ),
    (
        {**REPOSITORY, "workflow_job": {"id": 1, "name": "build", "conclusion": "skipped"}},
        "github",
        "note",
        "acme/shop: build: skipped",
    ),
    (
        {**REPOSITORY, "sha": "731f7e", "context": "ci", "state": "error"},
        "github",
        "firing",
        "acme/shop: ci: error",
    ),
    (
        {
            **REPOSITORY,
            "deployment": {"id": 1, "environment": "prod"},
            "deployment_status": {"state": "success"},
        },
        "github",
        "note",
        "acme/shop: prod: success",
    ),
    ({**REPOSITORY, "ref": "refs/heads/main", "pusher": {}}, "github", "note", "acme/shop: refs/heads/main"),
    (
        {"object_kind": "build", "build_status": "failed", "build_name": "lint", "project_name": "acme/shop"},
        "gitlab",
        "firing",
        "acme/shop: lint: failed",
    ),
    (
        {**PROJECT, "object_kind": "deployment", "status": "running", "environment": "prod"},
        "gitlab",
        "note",
        "acme/shop: prod: running",
    ),
    (
        {
            **PROJECT,
            "object_kind": "incident",
            "object_attributes": {"iid": 7, "action": "close", "title": "Shop is down"},
        },
        "gitlab",
        "resolved",
        "Shop is down",
    ),
    ({**PROJECT, "object_kind": "push"}, "gitlab", "note", "acme/shop: push"),
    ({"content": "RECOVERED: db-7", "username": "monitor"}, "discord", "resolved", "RECOVERED: db-7"),
]


@pytest.mark.parametrize(("body", "source", "effect", "title"), MORE)
def test_other_forms_of_a_sender_are_read(body: Body, source: str, effect: str, title: str) -> None:
    alert = read(body)
    assert (alert.source, alert.effect) == (source, effect)
    assert alert.heading.startswith(title)


FIELD_MAPS = (
    *table.FIELD_MAPS,
    *azure.FIELD_MAPS,
    *monitoring.FIELD_MAPS,
    *security.FIELD_MAPS,
    *code.FIELD_MAPS,
    *chat.FIELD_MAPS,
)


@pytest.mark.parametrize(
    "field_map", FIELD_MAPS, ids=lambda field_map: f"{field_map.source} {field_map.kind}".strip()
)
def test_each_row_reads_a_sample(field_map: FieldMap) -> None:
    bodies = [s["body"] for s in SAMPLES.values() if isinstance(s.get("body"), dict)]
    bodies += [
        {"condition_name": "CPU", "current_state": "open", "incident_id": 5},
        {"source": "nagios", "notification_type": "PROBLEM", "host_name": "db-01"},
        {"Token": "x", "Status": "Down", "StatusCode": "500"},
        *(body for body, *_ in MORE),
    ]
    assert any(field_map.read(Webhook.of(body, {})) for body in bodies)


def test_every_source_is_in_the_documentation_and_nothing_else() -> None:
    tables = (
        FIELD_MAPS,
        cloudwatch.FIELD_MAPS,
        sentry.FIELD_MAPS,
        datadog.FIELD_MAPS,
        (zabbix.FIELD_MAP, fluentbit.FIELD_MAP),
    )
    sources = {field_map.source for rows in tables for field_map in rows} | {
        "alertmanager",
        "grafana",
        "sns",
        "generic",
    }
    text = (Path(__file__).parents[3] / "docs" / "senders.md").read_text()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(name for cell in cells for name in re.findall("`(.+?)`", cell)) == sorted(sources)


def test_the_notation_of_places() -> None:
    field_map = FieldMap(
        source="x",
        matches=first_of(all_of("kind=one", "a"), "kind=tw*"),
        effect=by("state", resolved="off", others=Effect.NOTE),
        title=first_of(join("a.b.0", "c"), "d"),
        identity=first_of(all_of("k", "a.n"), "k"),
        apart="kind=two",
    )
    assert field_map.read(Webhook.of({"kind": "one"}, {})) is None
    one = field_map.read(Webhook.of({"kind": "ONE", "a": {"b": ["first"]}, "c": "second", "k": 1}, {}))
    two = field_map.read(
        Webhook.of({"kind": "two", "a": {"b": []}, "d": "third", "k": "1", "state": " Off "}, {})
    )
    assert one is not None
    assert two is not None
    assert (one.title, two.title) == ("first: second", "third")
    assert (one.effect, two.effect) == (Effect.FIRING, Effect.RESOLVED)
    assert one.identity != two.identity
    assert always(Effect.NOTE)({}) is Effect.NOTE
