"""The pages of docs/senders: there is one for each source, and what they give to paste is understood."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.ingest.webhooks import read
from tests.ingest.webhooks.samples import SAMPLES

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {page.stem: page.read_text() for page in sorted((DOCS / "senders").glob("*.md"))}
TABLE = [line for line in (DOCS / "senders.md").read_text().splitlines() if line.startswith("| `")]

PLACEHOLDER = re.compile(r"\$[A-Z_]+|\{\{[^{}]*\}\}|\{\$?[A-Z.]+\}|\*[a-zA-Z]+\*")
SENT = {"{{ALERT_TYPE}}": "ALERT_FAILURE"}
"""What a sender puts in the place of a placeholder, where anything will not do."""


def json_of(page: str) -> list[dict[str, Any]]:
    """The JSON objects that a page gives to paste."""
    found = re.findall(r"^```json\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)
    return [json.loads(text) for text in found]


def template_of(page: str) -> dict[str, Any] | None:
    """The body that a page gives, if it gives one; its other objects, of headers or a filter, are short."""
    return max(json_of(page), key=len, default=None) if any(len(one) > 3 for one in json_of(page)) else None


def sent(value: Any) -> Any:
    """The template as its sender sends it."""
    if isinstance(value, dict):
        return {name: sent(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [sent(inner) for inner in value]
    return PLACEHOLDER.sub(lambda found: SENT.get(found[0], "1"), value) if isinstance(value, str) else value


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_where_to_send_to_and_what_happens_on_errors(page: str) -> None:
    assert re.match(r"# \S.*\n", PAGES[page])
    assert "versus.example.com" in PAGES[page]
    assert "/api/incidents" in PAGES[page]
    assert re.search(r"On errors|Repeat|repeats", PAGES[page])
    json_of(page)


def test_every_source_has_a_page_and_every_page_a_source() -> None:
    linked = [re.findall(r"\(senders/(\w+)\.md\)", line) for line in TABLE]
    assert all(links for links in linked)
    assert {link for links in linked for link in links} == set(PAGES)
    sources = {source for line in TABLE for source in re.findall(r"`(\w+)`", line.split("|")[1])}
    expected = {sample["expect"].get("source") for sample in SAMPLES.values()}
    assert expected - {None} <= sources


@pytest.mark.parametrize("page", [page for page in PAGES if template_of(page) and page != "generic"])
def test_a_template_is_recognised_as_that_of_its_sender(page: str) -> None:
    alert = read(sent(template_of(page)))
    assert (alert.source, alert.identity is not None) == (page, True)


@pytest.mark.parametrize(
    ("page", "placeholder", "value", "said"),
    [
        ("checkly", "{{CHECK_ERROR_MESSAGE}}", "expected 503 to equal 200", {"description": "1\n\n%s"}),
        ("kibana", "{{rule.tags}}", "prod,service:catalog", {"service": "catalog"}),
        ("datadog", "$TAGS", "env:prod,service:checkout", {"service": "checkout"}),
        ("zabbix", "{EVENT.TAGSJSON}", '[{"tag":"service","value":"orders"}]', {"service": "orders"}),
        ("healthchecks", "$TAGS", "prod service:db", {"service": "db"}),
    ],
)
def test_what_a_sender_puts_into_its_template_is_understood(
    page: str, placeholder: str, value: str, said: dict[str, str]
) -> None:
    template = template_of(page)
    assert placeholder in json.dumps(template)
    filled = json.loads(json.dumps(template).replace(placeholder, json.dumps(value)[1:-1]))
    alert = read(sent(filled))
    for name, expected in said.items():
        assert getattr(alert, name) == expected.replace("%s", value)


def test_the_general_body_says_all_there_is_to_say() -> None:
    [body] = json_of("generic")
    alert = read(body)
    assert (alert.title, alert.severity, alert.service) == ("Disk full on db-7", "critical", "checkout")
    assert None not in (alert.source_url, alert.started_at, alert.identity)
    assert alert.labels == {"host": "db-7"}


def test_only_placeholders_are_replaced() -> None:
    assert sent({"a": ["$NAME", "{{x.y}}", "{EVENT.ID}", "{$URL}", "*monitorID*", "plain", 7]}) == {
        "a": ["1", "1", "1", "1", "1", "plain", 7]
    }
