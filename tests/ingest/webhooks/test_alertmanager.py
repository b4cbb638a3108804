"""Groups of alerts of Prometheus Alertmanager and of Grafana."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.alert import Effect
from app.ingest.webhooks import read
from tests.ingest.webhooks.samples import SAMPLES, alert_of

Body = dict[str, Any]


def group(*alerts: object, **fields: object) -> Body:
    return {"receiver": "versus", "status": "firing", "alerts": list(alerts), **fields}


def alert(name: str = "DiskFull", *, status: str = "firing", **fields: Any) -> Body:
    labels = {"alertname": name, **fields.pop("labels", {})}
    return {"status": status, "labels": labels, "annotations": {}, **fields}


@pytest.mark.parametrize(
    ("body", "source"),
    [
        ({"alerts": [], "groupKey": "k"}, "alertmanager"),
        ({"alerts": [], "groupLabels": {}}, "alertmanager"),
        ({"alerts": [None, 5], "receiver": "r"}, "alertmanager"),
        ({"alerts": [], "receiver": "r", "version": "4", "title": "t"}, "alertmanager"),
        ({"alerts": [], "receiver": "r", "version": "1"}, "alertmanager"),
        ({"alerts": [], "receiver": "r", "version": "1", "state": "alerting"}, "grafana"),
        ({"alerts": [], "receiver": "r", "version": "1", "title": "t"}, "grafana"),
        ({"alerts": [], "receiver": "r", "orgId": 1}, "grafana"),
        ({"alerts": [], "receiver": "r", "orgId": None}, "alertmanager"),
        ({"alerts": []}, "generic"),
        ({"alerts": None, "groupKey": "k"}, "generic"),
        ({"alerts": {}, "receiver": "r"}, "generic"),
        ({"alerts": [], "receiver": None, "groupKey": 5, "groupLabels": []}, "generic"),
    ],
)
def test_it_recognises_groups_by_their_body(body: Body, source: str) -> None:
    assert read(body).source == source


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (group(alert("A"), commonLabels={"alertname": "B"}, groupLabels={"alertname": "C"}), "B"),
        (group(alert("A"), groupLabels={"alertname": "C"}), "C"),
        (group(alert("R", status="resolved"), alert("A"), alert("Z")), "A"),
        (group(alert("R", status="resolved"), status="resolved"), "R"),
        (group(alert("A"), commonAnnotations={"summary": "It is\nfull"}), "A: It is full"),
        (group(alert("A", annotations={"summary": "full"}), alert("A", status="resolved")), "A: full"),
        (group(alert("A", annotations={"summary": "1"}), alert("A", annotations={"summary": "2"})), "A"),
        (group({}, commonAnnotations={"summary": "full"}), "full"),
        (group(None, title="[FIRING:1] DiskFull", orgId=1), "[FIRING:1] DiskFull"),
        (group({"labels": None, "annotations": None}), "Incident from alertmanager"),
        (group(alert("DatasourceError", labels={"rulename": "Orders"}), orgId=1), "DatasourceError: Orders"),
        (group(alert("A", labels={"rulename": "Orders"}), orgId=1), "A"),
    ],
)
def test_the_title_is_the_alertname_and_the_summary(body: Body, title: str) -> None:
    assert read(body).heading == title


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ([{"severity": "warning"}, {"severity": "critical"}, {"severity": "info"}], "critical"),
        ([{"severity": "info", "priority": "P1"}], "info"),
        ([{"severity": "warning"}, {"priority": "P2"}], "high"),
        ([{"level": "error"}, {}], "high"),
        ([{"severity": "team-a"}, {"Severity": "critical"}], None),
        ([{"severity": 1}], None),
        ([], None),
    ],
)
def test_the_severity_is_the_highest_of_the_firing_alerts(labels: list[Body], severity: str | None) -> None:
    resolved = alert(status="resolved", labels={"severity": "critical"})
    reported = [alert(labels=own) for own in labels] or [alert()]
    assert read(group(resolved, *reported)).severity == severity


def test_common_labels_give_the_severity_of_alerts_that_have_none() -> None:
    assert read(group(commonLabels={"severity": "page"})).severity == "critical"
    assert read(group({}, groupLabels={"severity": "low"})).severity == "low"


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "a", "app": "b"}, "a"),
        ({"component": "e", "application": "d", "app": "c", "service_name": "b"}, "b"),
        ({"service": "", "app": "c"}, "c"),
        ({"instance": "db-1", "job": "node"}, None),
    ],
)
def test_the_service_is_a_label(labels: Body, service: str | None) -> None:
    assert read(group(alert(labels=labels))).service == service
    assert read(group(commonLabels=labels)).service == service


def test_it_began_with_the_earliest_firing_alert() -> None:
    times = ["2026-03-04T09:00:00Z", "2026-03-04T09:30:00+01:00", "0001-01-01T00:00:00Z", None, 5]
    alerts = [alert(startsAt=time) for time in times]
    started_at = read(group(alert(status="resolved", startsAt="2026-01-01T00:00:00Z"), *alerts)).started_at
    assert started_at is not None
    assert started_at.isoformat() == "2026-03-04T08:30:00+00:00"


@pytest.mark.parametrize(
    ("urls", "source_url"),
    [
        (["https://p/1", "https://p/2"], "https://p/1"),
        (["", "https://p/2"], "https://am"),
        (["javascript:alert(1)"], "https://am"),
        ([], "https://resolved"),
    ],
)
def test_the_link_is_that_of_the_first_firing_alert(urls: list[str], source_url: str) -> None:
    resolved = alert(status="resolved", generatorURL="https://resolved")
    body = group(resolved, *(alert(generatorURL=url) for url in urls), externalURL="https://am")
    assert read(body).source_url == source_url


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        (group(alert(status="resolved")), Effect.FIRING),
        (group(alert(), status="resolved"), Effect.RESOLVED),
        (group(alert(), status=" Resolved "), Effect.RESOLVED),
        (group(status="ok"), Effect.FIRING),
        (group(alert(status="resolved"), status=None), Effect.FIRING),
        (group(status=None, state="ok", orgId=1), Effect.RESOLVED),
    ],
)
def test_the_status_at_the_top_alone_decides(body: Body, effect: Effect) -> None:
    assert read(body).effect is effect


ONE = alert(fingerprint="f")


@pytest.mark.parametrize(
    ("body", "other", "same"),
    [
        (group(ONE, groupKey="k"), group(receiver="other", groupKey="k"), True),
        (group(ONE, groupKey="k"), group(ONE, groupKey="K"), False),
        (group(ONE, groupKey="k" * 9999 + "a"), group(ONE, groupKey="k" * 9999 + "b"), False),
        (group(groupKey="k", orgId=1), group(groupKey="k", orgId="1"), True),
        (group(groupKey="k", orgId=1), group(groupKey="k", orgId=2), False),
        (group(groupKey="k", orgId=1), group(groupKey="k"), False),
        (group(groupLabels={"a": "1", "b": "2"}), group(groupLabels={"b": "2", "a": "1"}), True),
        (group(groupLabels={"a": "1"}), group(groupLabels={"a": "2"}), False),
        (group(groupLabels={"a": "x" * 2000 + "1"}), group(groupLabels={"a": "x" * 2000 + "2"}), False),
        (group(groupLabels={"a": "1"}), group(receiver="other", groupLabels={"a": "1"}), False),
        (group(groupLabels={"a": "1"}, orgId=1), group(receiver=None, groupLabels={"a": "1"}, orgId=1), True),
        (group(ONE, groupLabels={}), group(ONE, receiver="other"), True),
        (group(ONE), group(alert(fingerprint="g")), False),
        (group(ONE), {"fingerprint": "f"}, False),
    ],
)
def test_a_group_is_known_by_its_key_or_its_labels_or_its_only_alert(
    body: Body, other: Body, same: bool
) -> None:
    one, two = read(body).identity, read(other).identity
    assert one is not None
    assert two is not None
    assert (one == two) is same


@pytest.mark.parametrize(
    "body",
    [
        group(),
        group(alert()),
        group(ONE, ONE),
        group(ONE, truncatedAlerts=1),
        group(groupLabels={"a": 1}),
        {"alerts": [], "groupLabels": {"a": "1"}},
    ],
)
def test_a_group_without_any_of_these_has_no_identity(body: Body) -> None:
    assert read(body).identity is None


def test_labels_are_those_of_the_whole_group() -> None:
    two = group(
        alert(labels={"a": "1"}), alert(labels={"a": "2"}), commonLabels={"c": "3"}, groupLabels={"g": "4"}
    )
    assert read(two).labels == {"c": "3", "g": "4"}


def test_labels_of_a_single_alert_are_all_its_own() -> None:
    one = group(alert(labels={"a": "1", "token": "hunter2"}), commonLabels={"c": "3"})
    assert read(one).labels == {"alertname": "DiskFull", "a": "1", "c": "3"}


# -- description -----------------------------------------------------------------------------------------


def test_the_description_tells_what_is_wrong_where_to_read_on_and_which_alerts_fire() -> None:
    assert alert_of("alertmanager_03_one_of_two_resolved").description.splitlines() == [
        "Pod is crash looping.",
        "",
        "[Runbook](https://runbooks.example.net/runbooks/kubernetes/kubepodcrashlooping)"
        " · [Alertmanager](http://alertmanager.ops.example.net:9093)",
        "",
        "**Firing: 1**",
        "",
        "- `pod=cart-api-6d9f7c5b8-zk7wd` — Pod checkout/cart-api-6d9f7c5b8-zk7wd (cart-api) is in waiting "
        "state (reason: CrashLoopBackOff), 7 restarts in 10 min.",
        "",
        "**Resolved: 1**",
        "",
        "- `pod=cart-api-6d9f7c5b8-x2lqp`",
    ]


def test_the_description_of_a_group_of_one_repeats_nothing() -> None:
    reported = alert_of("alertmanager_14_group_by_all_a").description
    assert reported.count("TLS certificate") == 1
    assert "Firing" not in reported


def test_it_links_to_what_grafana_offers() -> None:
    reported = alert_of("grafana_01_firing").description
    for name in (
        "[Runbook](https://runbooks",
        "[Dashboard](https://grafana",
        "[Silence](https://",
        "[Grafana](",
    ):
        assert name in reported


def test_a_link_cannot_end_before_its_end() -> None:
    reported = read(group(alert(annotations={"runbook_url": "https://wiki/a_(b)"}))).description
    assert "[Runbook](https://wiki/a_%28b%29)" in reported
    assert "javascript" not in read(group(commonAnnotations={"runbook_url": "javascript:x"})).description


def test_it_says_how_many_alerts_the_sender_left_out() -> None:
    reported = alert_of("alertmanager_08_truncated").description
    assert "web-002 is not answering scrapes" in reported
    assert reported.endswith("… and 5 more that the sender did not list.")


@pytest.mark.parametrize("truncated", [0, -1, None, True, "5", 5.0, 10**30])
def test_it_believes_only_a_plausible_number_of_those_left_out(truncated: object) -> None:
    assert "more" not in read(group(alert(), truncatedAlerts=truncated)).description


def test_many_alerts_end_in_their_number() -> None:
    alerts = [alert(labels={"pod": f"pod-{i}"}, annotations={"description": "w " * 400}) for i in range(300)]
    reported = read(group(*alerts, commonLabels={"alertname": "DiskFull"})).description
    bullets = reported.count("- `pod=")
    assert "**Firing: 300**" in reported
    assert 3 < bullets < 100
    assert reported.endswith(f"- and {300 - bullets} more")


def test_a_text_of_several_lines_stays_in_its_bullet() -> None:
    reported = read(group(alert(labels={"pod": "a`b\nc"}, annotations={"message": "one\ntwo"}))).description
    assert reported.endswith("- `alertname=DiskFull` `pod=a'b c` — one\n  two")


def test_a_long_description_keeps_within_its_limit_and_keeps_the_runbook() -> None:
    texts = dict.fromkeys(["summary", "description", "message"], "w " * 9_000)
    links = {"runbook_url": "https://wiki/runbook"}
    alerts = [alert(labels={f"l{i}": "v" * 900 for i in range(60)}, annotations=texts) for _ in range(9)]
    reported = read(
        group(*alerts, alert(status="resolved"), commonAnnotations={**links, "summary": "s\n" * 9_000})
    )
    assert len(reported.description) <= 16_000
    assert "[Runbook](https://wiki/runbook)" in reported.description
    assert "- and " in reported.description


def test_every_sample_has_a_description() -> None:
    names = [name for name in SAMPLES if name.startswith(("alertmanager", "grafana"))]
    assert len(names) > 20
    assert all(alert_of(name).description for name in names)


def test_its_members_are_those_that_fire_with_their_severities_and_those_that_no_longer_do() -> None:
    fires, milder = {"fingerprint": "f1", "labels": {"severity": "page"}}, {"fingerprint": 2}
    reported = read(group(fires, milder, alert(status="resolved", fingerprint="f3"), None))
    assert (reported.members, reported.ended_members) == ({"f1": "critical", "2": ""}, ("f3",))
    assert reported.members_complete
    assert not read(group(fires, truncatedAlerts=1)).members_complete
    assert read({"title": "no group"}).members == {}


def test_an_alert_without_fingerprint_is_known_by_its_labels() -> None:
    one, same, other = (
        read(group(alert(labels=labels)))
        for labels in ({"pod": "a", "zone": "b"}, {"zone": "b", "pod": "a"}, {"pod": "b" * 99})
    )
    assert one.members.keys() == same.members.keys() != other.members.keys()
    assert read(group({"labels": None}, {"fingerprint": "{{ .Fingerprint }}"})).members == {}
    for odd in ("f" * 65, "\ud800"):
        [name] = read(group(alert(fingerprint=odd))).members
        assert len(name) == 32


def test_of_a_group_beyond_the_limit_the_first_members_are_kept() -> None:
    reported = read(group(*({"fingerprint": number} for number in range(5_001))))
    assert (len(reported.members), reported.members_complete) == (5_000, False)
