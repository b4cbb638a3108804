"""docs/monitoring: rules that Prometheus takes and that tell what they shall, a dashboard for Grafana."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCS = Path(__file__).parents[1] / "docs"
RULES = DOCS / "monitoring" / "alerts.yml"
GRAFANA = DOCS / "monitoring" / "grafana.json"

UP = 'up{job="versus"}'
# For each rule: the series of a system that is well, and of one that makes it fire, a value a minute
# (Prometheus's notation), and the labels of the alert besides its severity.
CASES: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "VersusAbsent": ({UP: "1x30"}, {UP: "1x5 0x25"}, {}),
    "VersusRedisDown": ({"versus_redis_up": "1x30"}, {"versus_redis_up": "1x5 0x25"}, {}),
    "VersusNoWorker": ({"versus_workers": "2x30"}, {"versus_workers": "2x5 0x25"}, {}),
    "VersusOverdue": (
        {"versus_oldest_overdue_seconds": "0 30 0x28"},
        {"versus_oldest_overdue_seconds": "0x5 0+60x25"},
        {},
    ),
    "VersusPageFailed": (
        {'versus_pages_total{outcome="delivered",alert_source="default"}': "1+1x30"},
        {'versus_pages_total{outcome="failed",alert_source="default"}': "0x25 1x5"},
        {"alert_source": "default", "outcome": "failed"},
    ),
    "VersusAttemptsFail": (
        {
            'versus_attempts_failed_total{reason="rate_limited",alert_source="default"}': "0+9x30",
            'versus_attempts_failed_total{reason="timeout",alert_source="default"}': "0x20 2x10",
        },
        {'versus_attempts_failed_total{reason="timeout",alert_source="default"}': "0+1x30"},
        {"alert_source": "default", "reason": "timeout"},
    ),
    "VersusRateBudgetUsedUp": (
        {'versus_rate_budget_left{alert_source="default"}': "120x5 0x3 120x22"},
        {'versus_rate_budget_left{alert_source="default"}': "120x5 0x25"},
        {"alert_source": "default"},
    ),
    "VersusRatePaused": (
        {'versus_rate_paused{alert_source="default"}': "0x5 1x5 0x20"},
        {'versus_rate_paused{alert_source="default"}': "0x5 1x25"},
        {"alert_source": "default"},
    ),
    "VersusHeartbeatOld": (
        {"versus_seconds_since_last_heartbeat": "10 35x29"},
        {"versus_seconds_since_last_heartbeat": "0+60x30"},
        {},
    ),
    "VersusChannelFails": (
        {'versus_channel_deliveries_total{channel="ops",outcome="told"}': "0+1x30"},
        {'versus_channel_deliveries_total{channel="ops",outcome="failed"}': "0x25 1x5"},
        {"channel": "ops"},
    ),
    "VersusNoticesWait": (
        {'versus_channel_notices_waiting{channel="ops"}': "0 3 0x28"},
        {'versus_channel_notices_waiting{channel="ops"}': "0 3x29"},
        {"channel": "ops"},
    ),
    "VersusBodiesRejected": (
        {"versus_rejected_bodies": "7x30"},
        {"versus_rejected_bodies": "7x25 8x5"},
        {},
    ),
}
AT = "30m"


@pytest.fixture(scope="module")
def promtool() -> str:
    """The program that Prometheus brings to check its files."""
    found = shutil.which("promtool")
    if found is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
        pytest.skip("promtool is not installed")
    return found or "promtool"


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules(promtool: str) -> None:
    assert f"SUCCESS: {len(CASES)} rules found" in run(promtool, "check", "rules", str(RULES))


def test_each_rule_fires_when_it_shall_and_only_then(promtool: str, tmp_path: Path) -> None:
    bare, tests = [], []
    for rule in rules():
        well, ill, labels = CASES[rule["alert"]]
        fires = {"exp_labels": {**labels, **rule["labels"]}}
        # What they say is for people; promtool would have it here once more, word for word.
        bare.append({name: value for name, value in rule.items() if name != "annotations"})
        for series, expected in ((well, []), (ill, [fires])):
            tests.append(
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "alert_rule_test": [
                        {"eval_time": AT, "alertname": rule["alert"], "exp_alerts": expected}
                    ],
                }
            )
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "versus", "rules": bare}]}))
    file = tmp_path / "test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests})
    )
    run(promtool, "test", "rules", str(file))


def test_each_rule_says_what_is_wrong_and_what_to_do() -> None:
    assert {rule["alert"] for rule in rules()} == set(CASES)
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")


# -- Grafana ------------------------------------------------------------------------------------------------


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(GRAFANA.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    """Everything that Prometheus is asked for."""
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def test_whatever_is_asked_for_is_told() -> None:
    told = set(re.findall(r"`(versus_\w+)`", (DOCS / "monitoring.md").read_text()))
    asked = {name for one in expressions() for name in re.findall(r"versus_\w+", one)}
    assert len(asked) > 15
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= told


def test_the_panels_of_grafanas_dashboard_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert len({panel["title"] for panel in panels()}) == len(panels())
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["description"].endswith(".")
