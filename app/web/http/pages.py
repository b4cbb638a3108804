"""What every page has: headers that leave a stranger's text no room, and who gets a page at all."""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, render_template, request

# Pages load nothing but what we serve, and send their address, which may be a signed link, to nobody.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LIVE_HEADERS = {
    **PAGE_HEADERS,
    "Content-Security-Policy": f"{_POLICY}; script-src 'self'; connect-src 'self'",
}
"""Of a page that runs our own script."""


def is_browser() -> bool:
    """Whether the client names `text/html`, and likes it no less than JSON."""
    accepted = request.accept_mimetypes
    return "text/html" in set(accepted.values()) and accepted["text/html"] >= accepted["application/json"]


def wants_page() -> bool:
    """Whether the client is a browser rather than a program that wants JSON.

    Browsers name `text/html`; a program that takes anything gets the page to look at, and JSON when it acts.
    """
    # By name: what stands for everything, as in the `*/*` of many libraries, asks for nothing.
    named = set(request.accept_mimetypes.values())
    if "text/html" in named:
        return is_browser()
    return request.method != "POST" and "application/json" not in named


def page(template: str, status: int, *, live: bool = False, **context: Any) -> Response:
    """A page with the headers that every page has."""
    response = make_response(render_template(template, **context), status)
    response.headers.update(LIVE_HEADERS if live else PAGE_HEADERS)
    return response
