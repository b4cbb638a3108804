"""The icon of the browser's tab: how many incidents wait, red when something is wrong."""

from __future__ import annotations

from flask import Blueprint, Response, request

WELL, WAITING, ALARM = "#146c3c", "#8a4b00", "#b3201b"

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="7" fill="{colour}"/>'
    '<text x="16" y="23" fill="#fff" font-family="sans-serif" font-weight="700" '
    'font-size="{size}" text-anchor="middle">{text}</text></svg>'
)


def blueprint() -> Blueprint:
    """For every page, also of people who are not logged in: it shows what its address says."""
    icon = Blueprint("icon", __name__)

    @icon.get("/favicon.svg")
    def show() -> Response:
        waiting = request.args.get("waiting", 0, type=int)
        colour = ALARM if "alarm" in request.args else WAITING if waiting > 0 else WELL
        text = "V" if waiting <= 0 else str(waiting) if waiting < 100 else "99+"
        svg = ICON.format(colour=colour, text=text, size=20 if len(text) < 3 else 14)
        headers = {
            "Content-Security-Policy": "default-src 'none'",
            "Cache-Control": "public, max-age=86400",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(svg, content_type="image/svg+xml", headers=headers)

    return icon
