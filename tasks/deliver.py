"""The delayed task: what one incident's pagers are to be sent."""

from collections.abc import Sequence

from celery import Celery

from app import page, wakeup
from app.delivery import Destination
from app.gateway import Gateway


def register(celery: Celery, gateway: Gateway) -> None:
    """Make the worker answer the messages."""

    @celery.task(name=wakeup.DELIVER)
    def deliver(incident_id: str, pagers: Sequence[str] = (), title: str | None = None) -> None:
        page.deliver(gateway, incident_id, [Destination(pager) for pager in pagers], title)
