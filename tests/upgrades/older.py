"""`python -m tests.upgrades.older URL`: run in the folder of an older version, which works on what is there.

It reads every incident, sends what is due, notifies, notes that a link was opened, takes the messages, ends
silences, and prints, as JSON, its schema and the state of each incident.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from celery import Celery

import app
from app import actions, silences, task_queue
from app.delivery.notifications import notify
from app.store import OURS, Search
from tasks.deliver import register
from tasks.held import Held
from tests.delivery.notifying import OPS
from tests.upgrades import scene


def main(redis_url: str) -> None:
    """Do all of that."""
    assert Path(app.__file__).is_relative_to(Path.cwd()), app.__file__
    cast = scene.Cast(redis_url)
    services = cast.services
    cast.clock.wind(minutes=4)
    celery = Celery("versus", set_as_current=False)
    register(celery, services, Held())
    for args, kwargs in scene.messages(redis_url):
        celery.tasks[task_queue.DELIVER](*args, **kwargs)
    for silence in services.store.silences.read().all:
        silences.end(services, silence.id, "Robin")
    listed = services.store.incidents.page(Search(), 100, None).incidents
    for incident in listed:
        assert "unreadable" not in incident.labels, incident.id
        cast.page(incident.id)
        notify(services, OPS, incident.id)
        actions.note_link_opened(services, incident.id, "a browser")
    states = {one.id: services.store.incidents.require(one.id).state.value for one in listed}
    sys.stdout.write(json.dumps({"schema": OURS, "states": states}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
