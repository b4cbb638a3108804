"""Alert rules and dashboard of docs/monitoring: that they work, and speak of what `/metrics` shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from app.bootstrap import Services
from app.destinations.incident_io.answer import Reason
from app.web import create_app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "monitoring"
RULES, SCENES, DASHBOARD = FOLDER / "alerts.yml", FOLDER / "alerts_test.yml", FOLDER / "grafana.json"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"),
    reason="promtool is not installed",
)

# What Prometheus adds to all that it collects.
OF_PROMETHEUS = {"job", "instance"}


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [rule["alert"] for rule in rules()]


def panels() -> list[dict[str, Any]]:
    """All panels of the dashboard, rows included."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    """All that alerts and dashboard ask Prometheus, with Grafana's variables filled in."""
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__interval", "5m").replace("$job", "versus")


def series() -> Mapping[str, set[str]]:
    """The labels of every series that docs/monitoring.md names, which a test compares with `/metrics`."""
    labels: dict[str, set[str]] = {"up": set()}
    page = (ROOT / "docs" / "monitoring.md").read_text()
    for names, of_row in re.findall(r"^\| (`versus_.*?) \| (.*?)\| ", page, re.M):
        for name in re.findall(r"`(\w+)`", names):
            labels[name] = set(re.findall(r"`(\w+)`", of_row))
    of_lateness = labels.pop("versus_page_lateness_seconds")
    labels["versus_page_lateness_seconds_bucket"] = of_lateness | {"le"}
    return labels


def asked(expression: str) -> Mapping[str, set[str]]:
    """The series that an expression names, with the labels that it selects them by."""
    found = re.findall(r"\b(versus_\w+|up\b)(?:\{(.*?)\})?", re.sub(r'"[^"]*"', '""', expression))
    return {name: set(re.findall(r"(\w+)!?=", selector)) for name, selector in found}


def promtool(*words: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], input=text, capture_output=True, text=True, timeout=60)


# -- alerts -----------------------------------------------------------------------------------------------


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    checked = promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


@needs_promtool
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    tried = promtool("test", "rules", SCENES)
    assert tried.returncode == 0, tried.stdout + tried.stderr


@needs_promtool
@pytest.mark.parametrize("expression", ["vector(1) == 0", "vector(1)"], ids=["never", "always"])
def test_alerts_that_fire_never_or_always_are_noticed(expression: str, tmp_path: Path) -> None:
    broken = {"groups": [{"name": "broken", "rules": [{**rule, "expr": expression} for rule in rules()]}]}
    (tmp_path / RULES.name).write_text(yaml.safe_dump(broken))
    shutil.copy(SCENES, tmp_path)
    tried = promtool("test", "rules", tmp_path / SCENES.name)
    assert tried.returncode == 1
    assert set(re.findall(r'alertname="(\w+)"', tried.stderr)) == set(ALERTS)


def test_each_alert_is_seen_firing() -> None:
    seen = re.findall(r'labels: \'ALERTS\{alertname="(\w+)", alertstate="firing"', SCENES.read_text())
    assert set(seen) == set(ALERTS)


def test_each_alert_says_how_severe_it_is_and_what_to_do() -> None:
    assert len(set(ALERTS)) == len(ALERTS)
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert sorted(rule["annotations"]) == ["description", "runbook", "summary"]


def test_each_runbook_is_there() -> None:
    for rule in rules():
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.M)
        assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


def test_the_reasons_that_alerts_name_are_given() -> None:
    named = re.findall(r'reason=~?"([^"]*)"', RULES.read_text())
    assert named
    assert {reason for one in named for reason in one.split("|")} <= set(get_args(Reason))


# -- dashboard --------------------------------------------------------------------------------------------


def test_the_ids_of_the_dashboards_panels_are_unique() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)


def test_the_dashboard_has_the_datasource_of_anyone_who_imports_it() -> None:
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert ("datasource", "datasource") in [(one["type"], one["name"]) for one in variables]
    for panel in panels():
        for one in [panel, *panel.get("targets", ())] if panel["type"] != "row" else []:
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_panel_covers_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} covers {taken[x, y]}"
                taken[x, y] = panel["title"]


@needs_promtool
def test_prometheus_understands_all_that_the_dashboard_asks(tmp_path: Path) -> None:
    records = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(expressions())]
    (tmp_path / "records.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": records}]}))
    checked = promtool("check", "rules", tmp_path / "records.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


# -- both -------------------------------------------------------------------------------------------------


def test_alerts_and_dashboard_ask_for_what_is_told() -> None:
    stated = series()
    for expression in expressions():
        names = asked(expression)
        assert names, expression
        for name, selected in names.items():
            assert name in stated, f"there is no {name}"
            assert selected <= stated[name] | OF_PROMETHEUS, f"{name} has no such label: {expression}"
        grouped = {
            label for by in re.findall(r"\b(?:by|on) \((.*?)\)", expression) for label in by.split(", ")
        }
        assert grouped <= OF_PROMETHEUS.union(*(stated[name] for name in names)), expression


def test_the_scenes_of_alerts_are_made_of_what_is_told() -> None:
    """A scene with a series that nobody tells would prove nothing."""
    stated = series()
    for scene in yaml.safe_load(SCENES.read_text())["tests"]:
        for one in scene["input_series"]:
            [(name, labels)] = asked(one["series"]).items()
            assert labels == stated[name] | OF_PROMETHEUS


@needs_promtool
def test_promtool_finds_nothing_wrong_with_what_is_told(services: Services) -> None:
    text = create_app(services).test_client().get("/metrics").text
    checked = promtool("check", "metrics", text=text)
    assert checked.returncode == 0, checked.stdout + checked.stderr
