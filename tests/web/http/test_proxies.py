"""Where a request came from: what proxies of ours say, and nobody else."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from app.web.http.proxies import PERSON, Proxies

OURS = [ip_network("10.0.0.0/8"), ip_network("192.0.2.7"), ip_network("fd00::/8")]


def seen(peer: str, **headers: str) -> tuple[str, str]:
    """Address and scheme that the application sees."""
    found: list[tuple[str, str]] = []

    def app(environ: dict[str, Any], _: object) -> list[bytes]:
        found.append((environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]))
        return []

    names = {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in headers.items()}
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", **names}
    Proxies(app, OURS)(environ, lambda *_: lambda _: None)
    return found[0]


@pytest.mark.parametrize(
    ("peer", "stated", "address"),
    [
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        # What the client itself wrote stands before what our proxy appended.
        ("10.1.2.3", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "1.1.1.1, 203.0.113.9, 192.0.2.7", "203.0.113.9"),
        ("::ffff:10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.1.2.3", "10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("203.0.113.1", "1.1.1.1", "203.0.113.1"),
        ("", "1.1.1.1", ""),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(peer: str, stated: str, address: str) -> None:
    assert seen(peer, **{"for": stated})[0] == address


@pytest.mark.parametrize(
    ("peer", "stated", "scheme"),
    [
        ("10.1.2.3", "https", "https"),
        ("10.1.2.3", "http, HTTPS", "https"),
        ("10.1.2.3", "https, http", "http"),
        ("10.1.2.3", "javascript", "http"),
        ("203.0.113.1", "https", "http"),
    ],
)
def test_the_scheme_is_what_our_nearest_proxy_says(peer: str, stated: str, scheme: str) -> None:
    assert seen(peer, proto=stated)[1] == scheme


@pytest.mark.parametrize(
    ("peer", "header", "name"),
    [
        ("10.1.2.3", "dana@example.com", "dana@example.com"),
        # What the client itself wrote stands before what our proxy added.
        ("10.1.2.3", "mallory, dana", "dana"),
        ("203.0.113.1", "mallory", None),
    ],
)
def test_a_name_is_believed_from_our_proxies_alone(peer: str, header: str, name: str | None) -> None:
    found: list[Any] = []

    def app(environ: dict[str, Any], _: object) -> list[bytes]:
        found.append(environ.get(PERSON))
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_X_FORWARDED_USER": header}
    Proxies(app, OURS, "X-Forwarded-User")(environ, lambda *_: lambda _: None)
    assert found == [name]
