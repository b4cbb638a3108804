"""Story: Redis takes no writes and can be read. What is stored and due is paged, and nobody else is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from tests.stories.refusals import READABLE
from tests.stories.stack import wait_until
from tests.stories.test_redis_refuses import WORKS_AGAIN_WITHIN, Scene


class Crowd(Scene):
    """A service with two web processes and three workers."""

    def find(self, incident: Mapping[str, Any]) -> dict[str, Any] | None:
        """The incident, once it is stored."""
        answer = requests.get(self._admin(incident), headers=self._secret, timeout=60)
        return answer.json() if answer.ok else None

    def events_of(self, kind: str = "firing") -> list[str]:
        """Of the events of this kind that incident.io has taken."""
        taken = [one.body for one in self.simulator.requests if one.accepted and isinstance(one.body, dict)]
        return [str(body["deduplication_key"]) for body in taken if body["status"] == kind]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    crowd = Crowd(tmp_path_factory.mktemp("crowd"), workers=3)
    try:
        yield crowd
    finally:
        crowd.stop()


@pytest.mark.parametrize("refusal", READABLE)
def test_what_is_due_is_paged_and_what_was_acknowledged_is_not(refusal: str, crowd: Crowd) -> None:
    crowd.ready()
    crowd.simulator.clear()
    due, later = crowd.report(4), crowd.report(600)
    acknowledged = crowd.report(3, body={"deduplication_key": f"seen {refusal}"})
    assert crowd.acknowledge(acknowledged).status_code == 200
    paged = crowd.report(0, body={"deduplication_key": f"paged {refusal}"})
    crowd.wait_for_state(paged, "escalated")
    crowd.begin(refusal)
    # Nobody can be told apart from another by what was refused: both are sent again until they are stored.
    assert crowd.post({"title": "Disk full", "deduplication_key": f"seen {refusal}"}).status_code == 503
    again = crowd.post({"title": "Disk full", "deduplication_key": f"paged {refusal}"})
    assert (again.status_code, again.json()["incident"]["id"]) == (202, paged["id"])
    refused = crowd.acknowledge(due)
    assert refused.status_code == 503
    assert "could not be stored, and the page will go out" in refused.text
    assert requests.get(due["ack_url"], headers={"Accept": "text/html"}, timeout=60).status_code == 200
    wait_until(lambda: due["id"] in crowd.events_of(), "what is due is paged")
    crowd.end(refusal)
    crowd.wait_for_state(due, "escalated", WORKS_AGAIN_WITHIN)
    wait_until(crowd.is_ready, "all is well", WORKS_AGAIN_WITHIN)
    assert acknowledged["id"] not in crowd.events_of()
    assert later["id"] not in crowd.events_of()
    assert crowd.show(due)["attempts"] <= len(crowd.workers)
    assert all(worker.lives() for worker in (crowd.web, *crowd.workers))


def test_a_page_that_was_sent_directly_is_an_incident_later_and_is_resolved_with_its_problem(
    crowd: Crowd,
) -> None:
    crowd.ready()
    crowd.begin("too few replicas")
    problem = {"title": "Disk full", "deduplication_key": "direct"}
    first, again = crowd.post(problem), crowd.post(problem)
    direct = first.json()["incident"]
    assert [first.status_code, again.status_code, again.json()["incident"]["id"]] == [202, 202, direct["id"]]
    crowd.end("too few replicas")
    stored = wait_until(
        lambda: (
            (
                found := requests.get(
                    f"{crowd.base}/api/incidents/{direct['id']}", headers=crowd._secret, timeout=60
                )
            ).ok
            and found.json()
        ),
        "it is stored",
    )
    assert (stored["state"], stored["title"]) == ("escalated", "Disk full")
    joined = crowd.post(problem)
    assert (joined.status_code, joined.json()["incident"]["id"]) == (200, direct["id"])
    assert crowd.post({**problem, "status": "resolved"}).json()["incident"]["id"] == direct["id"]
    wait_until(lambda: direct["id"] in crowd.events_of("resolved"), "the resolve event goes out")
