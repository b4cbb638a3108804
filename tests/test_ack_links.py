"""Signed links: what they prove, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from app.ack_links import VALID_FOR, AckLinks, BadSignature, LinkExpired

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
ID = "0c9f2d3e-5a57-4b0c-9d3e-6c1b7a4f2e90"
BASE = "https://versus.example.com"


@pytest.fixture
def links() -> AckLinks:
    return AckLinks(b"a key", BASE)


def parts(link: str) -> tuple[str, str]:
    """`exp` and `sig` of a link."""
    query = parse_qs(urlsplit(link).query)
    return query["exp"][0], query["sig"][0]


def test_a_link_leads_to_the_acknowledgement_of_its_incident(links: AckLinks) -> None:
    url = urlsplit(links.url(ID, NOW))
    assert (url.scheme, url.netloc, url.path) == ("https", "versus.example.com", f"/api/ack/{ID}")
    assert set(parse_qs(url.query)) == {"exp", "sig"}
    assert links.url(ID, NOW) == BASE + links.path(ID, NOW)


@pytest.mark.parametrize("after", [timedelta(0), timedelta(days=6), VALID_FOR], ids=str)
def test_a_link_is_good_for_seven_days(links: AckLinks, after: timedelta) -> None:
    links.check(ID, *parts(links.url(ID, NOW)), NOW + after)


def test_a_link_is_over_after_seven_days(links: AckLinks) -> None:
    assert timedelta(days=7) == VALID_FOR
    with pytest.raises(LinkExpired, match="older than 7 days: acknowledge on the dashboard"):
        links.check(ID, *parts(links.url(ID, NOW)), NOW + VALID_FOR + timedelta(seconds=1))


def test_a_link_is_good_in_every_process_with_the_same_key(links: AckLinks) -> None:
    AckLinks(b"a key", "https://other.example.com").check(ID, *parts(links.url(ID, NOW)), NOW)


@pytest.mark.parametrize(
    ("incident_id", "exp", "sig"),
    [
        ("another-id", None, None),
        (ID, "9999999999", None),
        (ID, "", None),
        (ID, "soon", None),
        (ID, "\u0661\u0662\u0663", None),
        (ID, None, ""),
        (ID, None, "x"),
        (ID, None, "\u00e4\u00f6\u00fc"),
        (ID, None, "A" * 27),
        (f"{ID}:1", None, None),
    ],
)
def test_a_link_that_was_changed_anywhere_is_refused(
    links: AckLinks, incident_id: str, exp: str | None, sig: str | None
) -> None:
    true_exp, true_sig = parts(links.url(ID, NOW))
    with pytest.raises(BadSignature, match="use the link as it was sent"):
        links.check(incident_id, true_exp if exp is None else exp, true_sig if sig is None else sig, NOW)


@pytest.mark.parametrize(
    "respelled",
    [
        lambda sig: f"{sig}=",
        lambda sig: f"{sig}\n",
        lambda sig: f" {sig}",
        lambda sig: f"{sig[:9]}.{sig[9:]}",
        lambda sig: sig.swapcase(),
        # Its last letter has two bits that are no part of what it encodes.
        lambda sig: sig[:-1] + chr(ord(sig[-1]) + 1),
    ],
)
def test_a_signature_is_right_as_it_was_sent_alone(links: AckLinks, respelled: Callable[[str], str]) -> None:
    exp, sig = parts(links.url(ID, NOW))
    with pytest.raises(BadSignature):
        links.check(ID, exp, respelled(sig), NOW)


def test_every_bit_of_the_signature_counts(links: AckLinks) -> None:
    exp, sig = parts(links.url(ID, NOW))
    for n, letter in enumerate(sig):
        other = sig[:n] + ("A" if letter != "A" else "B") + sig[n + 1 :]
        with pytest.raises(BadSignature):
            links.check(ID, exp, other, NOW)


def test_a_link_made_with_another_key_is_refused(links: AckLinks) -> None:
    other = AckLinks(b"another key", BASE)
    with pytest.raises(BadSignature):
        links.check(ID, *parts(other.url(ID, NOW)), NOW)
    assert "another key" not in other.url(ID, NOW)


def test_a_link_of_the_previous_key_is_good_while_that_is_named(links: AckLinks) -> None:
    expires, signature = parts(links.url(ID, NOW))
    AckLinks(b"a new key", BASE, previous=b"a key").check(ID, expires, signature, NOW)
    with pytest.raises(BadSignature):
        AckLinks(b"a new key", BASE, previous=b"an older key").check(ID, expires, signature, NOW)
    with pytest.raises(LinkExpired):
        AckLinks(b"a new key", BASE, previous=b"a key").check(ID, expires, signature, NOW + VALID_FOR * 2)
    new = AckLinks(b"a new key", BASE, previous=b"a key").url(ID, NOW)
    with pytest.raises(BadSignature):
        links.check(ID, *parts(new), NOW)
