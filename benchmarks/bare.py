"""The least that a webhook's route in Flask can do: read JSON, answer JSON. What ours is compared with."""

from __future__ import annotations

from flask import Flask, request


def create_app() -> Flask:
    """An application with one route, and one to see that it lives."""
    app = Flask(__name__)

    @app.post("/api/incidents")
    def post() -> tuple[dict[str, object], int]:
        return {"status": "Incident created", "fields": len(request.get_json())}, 201

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app
