"""The delayed task: what one incident's pagers are to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.signals import task_received

from app import task_queue
from app.bootstrap import Services
from app.delivery import pages
from app.domain.delivery import Destination
from tasks.held import Held


def register(celery: Celery, services: Services, held: Held) -> None:
    """Make the worker answer the messages, and remember those that it holds."""

    @task_received.connect(weak=False)
    def hold(request: Any, **_: Any) -> None:
        held.add(list(request.args), request.eta)

    # A newer version may say more.
    @celery.task(name=task_queue.DELIVER)
    def deliver(
        incident_id: str, pagers: Sequence[str] = (), title: str | None = None, *_: Any, **__: Any
    ) -> None:
        held.done(incident_id)
        pages.deliver(services, incident_id, [Destination(pager) for pager in pagers], title)
