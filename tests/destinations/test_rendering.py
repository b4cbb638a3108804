"""What messages say in each form, and that what strangers wrote does nothing in any."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.destinations import rendering
from app.destinations.base import Message, Summary
from app.destinations.rendering import Form
from app.domain.subscription import ChangeEvent
from app.ops import preview
from tests.destinations.conftest import LATE, NASTY, PAGED, REFUSED, a_message
from tests.fakes import PAGER

FORMS: tuple[Form, ...] = get_args(Form)
LINK = "https://versus.example.com/api/ack/"

SAMPLES: dict[ChangeEvent, tuple[dict[str, Any], str, str]] = {
    # Fields of the incident, the head of the title, what follows from it.
    "created": ({}, "New incident", "Pages at 2026-03-04 03:03:00 UTC unless somebody acknowledges."),
    "severity_raised": ({"severity": "critical"}, "More severe", "unless somebody acknowledges."),
    "acknowledged": ({}, "Acknowledged", "Acknowledged by dana at 2026-03-04 03:00:00 UTC. Nobody is paged."),
    "reopened": ({}, "Open again", "It became critical. Pages at 2026-03-04 03:03:00 UTC unless somebody"),
    "escalated": (
        {"pagers": PAGED},
        "Paged",
        "The page went out at 2026-03-04 03:00:00 UTC: the person on call is being called.",
    ),
    "late": ({"pagers": LATE}, "NOBODY WAS PAGED YET", "could not be delivered, so nobody may know about it"),
    "failed": (
        {"pagers": REFUSED},
        "NOBODY WAS PAGED",
        "could not be delivered, so nobody may know about it",
    ),
    "resolved": ({}, "Resolved", "It is over at 2026-03-04 03:00:00 UTC. There is nothing left to do."),
}


def message_of(event: ChangeEvent) -> Message:
    message = a_message(event, **SAMPLES[event][0])
    incident = message.incident
    if event == "acknowledged":
        incident = incident.acknowledged("dana", preview.NOON)
    elif event == "reopened":
        incident = incident.noted(preview.NOON, "reopened", "it became critical")
    elif event == "resolved":
        incident = incident.resolved("alertmanager", preview.NOON)
    link = message.ack_url if incident.can_be_acknowledged else None
    return replace(message, incident=incident, ack_url=link)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("event", get_args(ChangeEvent))
def test_each_change_says_what_is_new_and_what_follows(event: ChangeEvent, form: Form) -> None:
    message = message_of(event)
    said = rendering.message(message, form)
    _, head, follows = SAMPLES[event]
    assert said.title == f"{head}: Disk almost full on db-1"
    plain = said.body.replace("\\", "")
    assert follows in plain
    for name, value in (("Severity", message.incident.severity), ("Service", "checkout")):
        assert re.search(rf"{name}\W.*{value}", plain)
    assert "/var is 92 % full" in plain
    assert "https://alerts.example.com/1" in plain
    assert (LINK in plain) == (event not in ("acknowledged", "resolved"))


def test_it_says_that_it_pages_any_moment_when_the_time_is_over() -> None:
    message = a_message()
    late = replace(message, now=message.incident.due_at or preview.NOON)
    assert "Pages any moment now unless somebody acknowledges." in rendering.message(late, "text").body


def test_acknowledging_after_the_page_is_told_as_such() -> None:
    incident = replace(a_message().incident, pagers=PAGED).acknowledged("dana", preview.NOON)
    said = rendering.message(replace(a_message("acknowledged"), incident=incident), "text")
    assert "The page had already gone out." in said.body


@pytest.mark.parametrize("form", FORMS)
def test_a_summary_counts_names_and_leads_on(form: Form) -> None:
    incident = a_message().incident
    many = Summary(
        [("created", incident)] * 3,
        57,
        [("created", 50), ("failed", 7)],
        preview.NOON,
        "https://versus.example.com/",
    )
    said = rendering.summary(many, form)
    assert said.title == "Many incidents at once: 50 new, 7 could not be paged"
    assert said.body.count("high: Disk almost full on db-1 (new)") == 3
    assert "and 54 more" in said.body
    assert "https://versus.example.com/" in said.body


# -- templates ------------------------------------------------------------------------------------------


def test_a_template_stands_in_for_the_body_alone() -> None:
    said = rendering.message(
        a_message(), "text", "{{ incident.service }} {{ event }}: {{ what_now }} {{ ack_url }}"
    )
    assert said.title == "New incident: Disk almost full on db-1"
    assert said.body.startswith("checkout created: Pages at 2026")
    assert LINK in said.body


def test_a_template_escapes_in_html_and_where_it_asks_for_it() -> None:
    message = a_message(title="<b>", service="[a](b)")
    assert "&lt;b&gt;" in rendering.message(message, "html", "{{ incident.title }}").body
    assert rendering.message(message, "markdown", "{{ incident.service | markdown }}").body == r"\[a\]\(b\)"


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ incident.__class__.__mro__ }}", "{{ x.y.z }}", "{{ '' }}"]
)
def test_a_template_that_fails_says_the_default_message(template: str) -> None:
    assert rendering.message(a_message(), "text", template) == rendering.message(a_message(), "text")


# -- strangers' text ------------------------------------------------------------------------------------

PIECES = (
    *("@everyone", "@here", "@channel", "@all", "@room", "<!channel>", "<@U1>", "<#C1>", "<users/all>"),
    *(
        "<script>alert(1)</script>",
        "<a href='https://evil.example'>x</a>",
        "<img src=x onerror=1>",
        "</div>",
        "&lt;b&gt;",
    ),
    *(
        "[x](https://evil.example)",
        "![x](https://evil.example)",
        "<https://evil.example>",
        "[x]: https://evil.example",
    ),
    *(
        "[x][1]",
        "`",
        "```",
        "**",
        "__",
        "~~",
        "|",
        "\\",
        "\\[",
        "](",
        "<",
        ">",
        "\n",
        "\n\n",
        "# ",
        "    ",
        "{{ 7 * 7 }}",
    ),
)
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=12).map("".join)
MENTIONS = re.compile(r"@(everyone|here|channel|(?:all|room)(?![a-z0-9]))|<[!@#]", re.IGNORECASE)


class Tags(HTMLParser):
    """The tags and links of an HTML text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]


def a_nasty_message(text: str) -> Message:
    refused = {PAGER: replace(REFUSED[PAGER], last_error=text)}
    return a_message(title=text, description=text, service=text, source=text, pagers=refused)


@given(hostile)
def test_nobody_is_called_in_any_form(text: str) -> None:
    for form in FORMS:
        for event in ("created", "failed"):
            said = rendering.message(replace(a_nasty_message(text), event=event), form)
            assert not MENTIONS.search(said.title)
            # As a service shows it: without what escapes it.
            assert not MENTIONS.search(said.body.replace("\\", "") if form == "markdown" else said.body)


@given(hostile)
def test_mail_has_our_tags_and_links_alone(text: str) -> None:
    ours, theirs = (Tags(rendering.message(a_nasty_message(one), "html").body) for one in ("x", f"x{text}"))
    # A description of blanks alone has no paragraph.
    assert [tag for tag in theirs.tags if tag != "p"] == [tag for tag in ours.tags if tag != "p"]
    assert theirs.links == ours.links


@given(hostile)
def test_markdown_has_our_links_alone(text: str) -> None:
    message = a_nasty_message(text)
    said = rendering.message(message, "markdown")
    reader = MarkdownIt("commonmark", {"html": True})
    for markdown, links in ((said.body, [message.ack_url, message.incident.source_url]), (said.title, [])):
        tokens = [one for token in reader.parse(markdown) for one in (token, *(token.children or ()))]
        assert [one.attrs["href"] for one in tokens if one.type == "link_open"] == links
        assert not [
            one for one in tokens if one.type in ("image", "html_inline", "html_block", "code_inline")
        ]


@pytest.mark.parametrize(
    "url", ["https://a.example/?a=1&b=<x>", "https://a.example/)(", 'https://a.example/"x']
)
def test_the_senders_link_stays_one_link(url: str) -> None:
    message = a_message(source_url=url)
    assert Tags(rendering.message(message, "html").body).links == [message.ack_url, url]
    reader = MarkdownIt("commonmark")
    tokens = [
        t for token in reader.parse(rendering.message(message, "markdown").body) for t in token.children or ()
    ]
    assert len([one for one in tokens if one.type == "link_open"]) == 2


def test_the_nasty_sample_calls_nobody_in_slack() -> None:
    assert "@everyone" not in rendering.title(a_message(title=NASTY).incident)
