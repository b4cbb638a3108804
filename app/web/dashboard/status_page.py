"""The status page: what `/readyz` says, the last drill, versions, and the settings in force."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, Response

from app import __version__
from app.bootstrap import Services
from app.ops.health import WORKER_SEEN_WITHIN, readiness
from app.store import OURS, Processes
from app.web.dashboard.live import Live

CHECKS = {
    "redis": "Redis",
    "workers": "Workers",
    "overdue": "Overdue pages",
    "settings": "Settings of all processes",
}
"""What the checks of `/readyz` are called."""


def register(dashboard: Blueprint, services: Services, live: Live) -> None:
    """The page; `dashboard` checks the login."""

    @dashboard.get("/status")
    def show_status() -> Response:
        shown = about(services)
        return live.answer("status.html", lambda _: shown, seen=repr(shown))


def about(services: Services) -> dict[str, Any]:
    """What it shows besides the status bar. Raises `StoreUnavailable`."""
    checks = readiness(services)
    redis = services.store.server.settings_from_info().version
    now = services.clock()
    return {
        "checks": [(CHECKS.get(name, name), says) for name, says in checks.items()],
        "ready": set(checks.values()) == {"ok"},
        "workers": services.store.delivery_queue.workers(now, WORKER_SEEN_WITHIN),
        "drill": services.store.drills.last(),
        "versions": [
            ("Versus Incident", __version__),
            *(("Processes", says) for says in _processes(services.store.processes, now)),
            ("Python", platform.python_version()),
            ("Redis", redis or "not known: this user may not ask"),
        ],
        "warnings": services.config.warnings,
        "settings": list(_flat(services.config.describe())),
    }


def _processes(processes: Processes, now: datetime) -> Iterator[str]:
    """How many processes there are of each version; nothing while none has announced itself."""
    living = processes.living(now)
    counts = Counter((one.version, one.kind) for one in living)
    if counts:
        said = ", ".join(f"{kind} {version} ({count})" for (version, kind), count in sorted(counts.items()))
        yield said if processes.all_know(OURS, now) else f"{said}. What is new here is used once all know it"


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of each setting, the name as documentation and errors have it."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value not in (None, [], ""):
            yield (
                f"{before}{name}",
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
            )
