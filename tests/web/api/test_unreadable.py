"""An incident whose record can't be read: dashboard, its page, its link and its buttons work."""

from __future__ import annotations

import pytest
import redis
from flask.testing import FlaskClient

from tests.store.damage import DAMAGE, damage
from tests.web.conftest import Report, csrf_of


@pytest.mark.parametrize("kind", DAMAGE)
def test_the_dashboard_shows_it_and_its_buttons_work(
    person: FlaskClient, report: Report, redis_url: str, kind: str
) -> None:
    incident = report()
    damage(redis.Redis.from_url(redis_url), kind, incident["id"])
    incident_list = person.get("/")
    assert incident_list.status_code == 200
    assert f"/incidents/{incident['id']}" in incident_list.text
    page = person.get(f"/incidents/{incident['id']}")
    assert page.status_code == 200
    assert "can&#39;t be read" in page.text
    done = person.post(f"/incidents/{incident['id']}/ack", data={"csrf": csrf_of(page.text)})
    assert done.status_code == 303
    shown = person.get(f"/api/incidents/{incident['id']}").get_json()
    assert shown["state"] == "acknowledged"
    assert shown["labels"] == {"unreadable": "true"}
