"""A real Alertmanager sends: alerts fire, are repeated, grouped, over, and sent again when refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from local.embedded import free_port
from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, wait_until

PROGRAM = "prometheus-alertmanager"
INTAKE_SECRET = "test-intake-secret-7a"

# It looks at a group this often, and may then repeat it.
INTERVAL = "300ms"
WAIT_MINUTES = 0.03

if shutil.which(PROGRAM) is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
    pytest.skip(f"{PROGRAM} is not installed", allow_module_level=True)


class Alertmanager:
    """One that has a single receiver, which is our webhook."""

    def __init__(self, base: str, log: Path) -> None:
        self._base = base
        self.log = log

    def post(self, *alerts: dict[str, Any]) -> None:
        """What Prometheus does: says which alerts fire, or no longer do."""
        answer = requests.post(f"{self._base}/api/v2/alerts", json=alerts, timeout=60)
        assert answer.status_code == 200, answer.text

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self._base}/-/ready", timeout=60).status_code == 200
        except requests.RequestException:
            return False

    def count(self, metric: str) -> float:
        """One of its own figures on notifications by webhook."""
        lines = requests.get(f"{self._base}/metrics", timeout=60).text.splitlines()
        start = f'alertmanager_{metric}{{integration="webhook"'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start))


def configuration(
    url: str, *, max_alerts: int = 0, repeat_interval: str = INTERVAL, **http: Any
) -> dict[str, Any]:
    webhook = {"url": url, "max_alerts": max_alerts, **({"http_config": http} if http else {})}
    return {
        "route": {
            "receiver": "versus",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": INTERVAL,
            "repeat_interval": repeat_interval,
        },
        "receivers": [{"name": "versus", "webhook_configs": [webhook]}],
    }


@contextmanager
def running(folder: Path, config: dict[str, Any], **options: str) -> Iterator[Alertmanager]:
    """An Alertmanager with this configuration, as a process of its own; `options`: of its command line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    log = folder / "alertmanager.log"
    words = {
        "config.file": folder / "alertmanager.yml",
        "storage.path": folder / "data",
        "web.listen-address": address,
        "cluster.listen-address": "",
        **{name.replace("_", "."): value for name, value in options.items()},
    }
    command = [PROGRAM, *(f"--{name}={value}" for name, value in words.items())]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        alertmanager = Alertmanager(f"http://{address}", log)
        wait_until(alertmanager.is_ready, f"Alertmanager is ready; see {log}")
        yield alertmanager
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def alertmanager(shared: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """One that sends to the service that the stories share."""
    url = f"{shared.base}/api/incidents?oncall_wait_minutes={WAIT_MINUTES}"
    with running(tmp_path_factory.mktemp("alertmanager"), configuration(url)) as one:
        yield one


@pytest.fixture
def name() -> str:
    """An alertname of the test's own."""
    return f"DiskFull{uuid.uuid4().hex[:8]}"


def alert(name: str, *, over: bool = False, **labels: str) -> dict[str, Any]:
    """As Prometheus sends it; `over`: it no longer fires."""
    now = datetime.now(UTC)
    ends = {"endsAt": (now - timedelta(seconds=1)).isoformat()} if over else {}
    return {
        "labels": {"alertname": name, "severity": "critical", "service": "payments", **labels},
        "annotations": {"summary": "The disk is full", "runbook_url": "https://example.com/runbook"},
        "startsAt": (now - timedelta(minutes=5)).isoformat(),
        "generatorURL": "https://prometheus.example.com/graph?g0.expr=up",
        **ends,
    }


def incidents(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The incidents whose title has this alertname, newest first."""
    answer = requests.get(
        f"{stack.base}/api/incidents",
        params={"q": name},
        headers={"X-Gateway-Secret": GATEWAY_SECRET},
        timeout=60,
    )
    found: list[dict[str, Any]] = answer.json()["incidents"]
    return found


def the_incident(stack: Stack, name: str) -> dict[str, Any]:
    """The incident of this alertname, once there is one; fails when there are several."""
    [incident] = wait_until(lambda: incidents(stack, name), f"an incident of {name}")
    one: dict[str, Any] = incident
    return one


def repeated(stack: Stack, incident: dict[str, Any], times: int) -> dict[str, Any]:
    """The incident, once it was told so many more times."""
    enough = incident["occurrences"] + times
    shown: dict[str, Any] = wait_until(
        lambda: (now := stack.show(incident))["occurrences"] >= enough and now, f"{enough} occurrences"
    )
    return shown


def firing(stack: Stack, incident: dict[str, Any]) -> set[str]:
    """Which instances fire, as Alertmanager said last."""
    alerts = stack.show(incident)["payload"]["alerts"]
    return {alert["labels"]["instance"] for alert in alerts if alert["status"] == "firing"}


def sent(stack: Stack, incident: dict[str, Any]) -> list[str]:
    """What incident.io was told of the incident, in order."""
    return [event.body["status"] for event in stack.simulator.events(incident["id"])]


def at_once(do: Callable[[Alertmanager], None], to: Sequence[Alertmanager]) -> None:
    """To each of them, all at the same time."""
    gate = threading.Barrier(len(to))

    def one(each: Alertmanager) -> None:
        gate.wait()
        do(each)

    with ThreadPoolExecutor(len(to)) as senders:
        list(senders.map(one, to))


def test_an_alert_that_fires_is_one_incident_that_says_what_prometheus_said(
    stack: Stack, alertmanager: Alertmanager, name: str
) -> None:
    alertmanager.post(alert(name, instance="db-7"))
    incident = stack.show(the_incident(stack, name))
    assert incident["title"] == f"{name}: The disk is full"
    assert (incident["severity"], incident["service"]) == ("critical", "payments")
    assert (incident["source"], incident["state"]) == ("alertmanager", "pending")
    assert incident["source_url"] == "https://prometheus.example.com/graph?g0.expr=up"
    assert incident["labels"]["instance"] == "db-7"
    assert incident["started_at"] < incident["created_at"]
    assert "https://example.com/runbook" in incident["description"]
    assert incident["payload"]["receiver"] == "versus"
    alertmanager.post(alert(name, instance="db-7", over=True))
    stack.wait_for_state(incident, "resolved")


def test_unacknowledged_it_is_paged_once_however_often_it_is_repeated_and_then_all_is_clear(
    stack: Stack, alertmanager: Alertmanager, name: str
) -> None:
    alertmanager.post(alert(name))
    incident = the_incident(stack, name)
    assert incident["state"] == "pending"
    stack.wait_for_state(incident, "escalated")
    shown = repeated(stack, stack.show(incident), 2)
    assert (shown["state"], shown["due_at"]) == ("escalated", incident["due_at"])
    assert sent(stack, incident) == ["firing"]
    alertmanager.post(alert(name, over=True))
    stack.wait_for_state(incident, "resolved")
    wait_until(lambda: sent(stack, incident) == ["firing", "resolved"], "the resolve event")
    assert stack.simulator.alerts["source-default", incident["id"]] == "resolved"
    assert len(incidents(stack, name)) == 1
    assert alertmanager.count("notification_requests_failed_total") == 0


def test_an_acknowledged_alert_pages_nobody_though_it_is_repeated(
    stack: Stack, alertmanager: Alertmanager, name: str
) -> None:
    alertmanager.post(alert(name))
    incident = the_incident(stack, name)
    assert stack.acknowledge(incident).status_code == 200
    due_at = datetime.fromisoformat(incident["due_at"])
    wait_until(lambda: datetime.now(UTC) > due_at, "its time has passed")
    shown = repeated(stack, stack.show(incident), 1)
    assert (shown["state"], sent(stack, incident)) == ("acknowledged", [])
    alertmanager.post(alert(name, over=True))
    stack.wait_for_state(incident, "resolved")
    assert sent(stack, incident) == []


def test_a_group_fires_until_all_of_its_alerts_are_over(
    stack: Stack, alertmanager: Alertmanager, name: str
) -> None:
    alertmanager.post(alert(name, instance="db-7"), alert(name, instance="db-8", severity="warning"))
    incident = the_incident(stack, name)
    wait_until(lambda: firing(stack, incident) == {"db-7", "db-8"}, "both fire")
    alertmanager.post(alert(name, instance="db-8", severity="warning", over=True))
    wait_until(lambda: firing(stack, incident) == {"db-7"}, "one of two is over")
    stack.wait_for_state(incident, "escalated")
    assert sent(stack, incident) == ["firing"]
    alertmanager.post(alert(name, instance="db-7", over=True))
    stack.wait_for_state(incident, "resolved")
    wait_until(lambda: sent(stack, incident) == ["firing", "resolved"], "one page, one resolve event")
    assert len(incidents(stack, name)) == 1


def test_an_alert_that_fires_again_after_its_end_is_a_new_incident(
    stack: Stack, alertmanager: Alertmanager, name: str
) -> None:
    alertmanager.post(alert(name))
    first = the_incident(stack, name)
    alertmanager.post(alert(name, over=True))
    stack.wait_for_state(first, "resolved")
    alertmanager.post(alert(name))
    second, _ = wait_until(lambda: len(found := incidents(stack, name)) == 2 and found, "a second incident")
    assert second["state"] == "pending"
    alertmanager.post(alert(name, over=True))
    stack.wait_for_state(second, "resolved")


@pytest.fixture
def truncating(stack: Stack, tmp_path: Path) -> Iterator[Alertmanager]:
    """One that lists a single alert of each group, and pages at once."""
    url = f"{stack.base}/api/incidents?oncall_wait_minutes=0"
    with running(tmp_path / "truncating", configuration(url, max_alerts=1)) as one:
        yield one


def test_a_group_of_which_only_a_part_is_listed_is_paged_once_until_it_is_over(
    stack: Stack, truncating: Alertmanager, name: str
) -> None:
    truncating.post(*(alert(name, instance=instance) for instance in ("db-7", "db-8", "db-9")))
    incident = the_incident(stack, name)
    stack.wait_for_state(incident, "escalated")
    # Alertmanager may look at the group for the first time when it knows only one of the three.
    wait_until(
        lambda: "2 more that the sender did not list" in stack.show(incident)["description"],
        "two are known that are not listed",
    )
    assert firing(stack, incident) == {"db-7"}
    # The one that is listed last, lest Alertmanager looks at the group before it has them all.
    truncating.post(*(alert(name, instance=instance, over=True) for instance in ("db-9", "db-8", "db-7")))
    stack.wait_for_state(incident, "resolved")
    wait_until(lambda: sent(stack, incident) == ["firing", "resolved"], "one page, one resolve event")
    assert len(incidents(stack, name)) == 1


def test_what_fires_on_behind_a_list_that_was_cut_pages_again(
    stack: Stack, truncating: Alertmanager, name: str
) -> None:
    # Alertmanager cuts the list first, and then says "resolved" of a group whose listed alerts are.
    truncating.post(*(alert(name, instance=instance) for instance in ("db-7", "db-8")))
    first = the_incident(stack, name)
    truncating.post(alert(name, instance="db-7", over=True))
    stack.wait_for_state(first, "resolved")
    second, _ = wait_until(lambda: len(found := incidents(stack, name)) == 2 and found, "a second incident")
    stack.wait_for_state(second, "escalated")
    assert firing(stack, second) == {"db-8"}
    truncating.post(alert(name, instance="db-8", over=True))
    stack.wait_for_state(second, "resolved")


def test_two_that_say_the_same_at_the_same_time_are_one_incident_and_one_page(
    stack: Stack, tmp_path: Path, name: str
) -> None:
    # They do not know of each other, as when their network is cut in two; each tells what changes, once.
    url = f"{stack.base}/api/incidents?oncall_wait_minutes=0"
    config = configuration(url, repeat_interval="1h")
    with running(tmp_path / "one", config) as one, running(tmp_path / "other", config) as other:
        both = (one, other)
        at_once(lambda each: each.post(alert(name)), both)
        incident = the_incident(stack, name)
        repeated(stack, {**incident, "occurrences": 1}, 1)
        stack.wait_for_state(incident, "escalated")
        at_once(lambda each: each.post(alert(name, over=True)), both)
        wait_until(lambda: all(each.count("notifications_total") == 2 for each in both), "both told the end")
        wait_until(lambda: sent(stack, incident) == ["firing", "resolved"], "one page, one resolve event")
        [shown] = incidents(stack, name)
        assert (shown["state"], shown["occurrences"]) == ("resolved", 2)
        assert [each.count("notifications_failed_total") for each in both] == [0, 0]


def test_two_installations_with_the_same_rules_are_two_incidents_and_two_pages(
    stack: Stack, tmp_path: Path, name: str
) -> None:
    config = configuration(f"{stack.base}/api/incidents?oncall_wait_minutes=0")
    with running(tmp_path / "eu", config) as eu, running(tmp_path / "us", config) as us:
        both = {"eu": eu, "us": us}
        for cluster, each in both.items():
            each.post(alert(name, cluster=cluster))
        found = wait_until(
            lambda: len(found := incidents(stack, name)) == 2 and found, "an incident for each"
        )
        by_cluster = {stack.show(one)["labels"]["cluster"]: one for one in found}
        for incident in found:
            stack.wait_for_state(incident, "escalated")
        eu.post(alert(name, cluster="eu", over=True))
        stack.wait_for_state(by_cluster["eu"], "resolved")
        repeated(stack, stack.show(by_cluster["us"]), 2)
        assert sent(stack, by_cluster["us"]) == ["firing"]
        us.post(alert(name, cluster="us", over=True))
        stack.wait_for_state(by_cluster["us"], "resolved")
        assert len(incidents(stack, name)) == 2


def test_a_node_of_a_cluster_ends_what_another_node_reported(stack: Stack, tmp_path: Path, name: str) -> None:
    # The second waits for the first to notify, and does so itself only when it is the only one left.
    config = configuration(f"{stack.base}/api/incidents?oncall_wait_minutes=0", repeat_interval="1h")
    gossip = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    fast = {"cluster_peer-timeout": "1s", "cluster_settle-timeout": "1s", "cluster_gossip-interval": "50ms"}
    nodes = [
        running(tmp_path / str(n), config, **{"cluster_listen-address": own, "cluster_peer": other}, **fast)
        for n, (own, other) in enumerate([gossip, gossip[::-1]])
    ]
    with nodes[1] as second:
        with nodes[0] as first:
            at_once(lambda each: each.post(alert(name)), (first, second))
            incident = the_incident(stack, name)
            stack.wait_for_state(incident, "escalated")
        second.post(alert(name, over=True))
        stack.wait_for_state(incident, "resolved")
        wait_until(lambda: sent(stack, incident) == ["firing", "resolved"], "one page, one resolve event")
        assert len(incidents(stack, name)) == 1


@pytest.mark.parametrize(
    "credentials",
    [
        {"authorization": {"type": "Bearer", "credentials": INTAKE_SECRET}},
        {"basic_auth": {"username": "alertmanager", "password": INTAKE_SECRET}},
    ],
    ids=["bearer", "basic"],
)
def test_what_we_could_not_take_is_sent_again_with_the_secret_until_we_can(
    own: Callable[..., Stack], tmp_path: Path, name: str, credentials: dict[str, Any]
) -> None:
    stack = own(config={"intake_secret": INTAKE_SECRET})
    # Nobody would be paged, so that there is nothing to do without Redis but to ask for a repetition.
    config = configuration(f"{stack.base}/api/incidents?oncall_enable=false", **credentials)
    with running(tmp_path / "alertmanager", config) as alertmanager:
        stack.redis.kill()
        alertmanager.post(alert(name))
        wait_until(lambda: alertmanager.count("notification_requests_failed_total"), "it was refused")
        stack.redis.start()
        assert the_incident(stack, name)["state"] == "open"
