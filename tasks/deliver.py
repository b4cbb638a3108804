"""The delayed task: what one incident's pagers are to be sent."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from app import task_queue
from app.bootstrap import Services
from app.delivery import pages
from app.domain.delivery import Destination


def register(celery: Celery, services: Services) -> None:
    """Make the worker answer the messages."""

    @celery.task(name=task_queue.DELIVER)
    def deliver(incident_id: str, pagers: Sequence[str] = (), title: str | None = None) -> None:
        pages.deliver(services, incident_id, [Destination(pager) for pager in pagers], title)
