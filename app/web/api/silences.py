"""Silences, for programs: list, make, end."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from app import silences
from app.bootstrap import Services
from app.serializers import silence_out, silences_out
from app.web.http.auth import acting, json_body

JsonObject = dict[str, Any]


def add_to(admin: Blueprint, services: Services) -> None:
    """Add them to the admin API, which sees to the secret."""

    @admin.get("/api/silences")
    def list_silences() -> JsonObject:
        return {"silences": silences_out(services)}

    @admin.post("/api/silences")
    def make_silence() -> tuple[JsonObject, int]:
        body = json_body()
        made = silences.make(
            services,
            body.get("match"),
            minutes=body.get("minutes"),
            until=body.get("until"),
            comment=body.get("comment"),
            by=acting(),
        )
        return {"status": "Silence created", "silence": silence_out(services, made)}, 201

    @admin.delete("/api/silences/<silence_id>")
    def end_silence(silence_id: str) -> JsonObject:
        ended = silences.end(services, silence_id, acting())
        return {"status": "Silence ended", "silence": silence_out(services, ended)}
