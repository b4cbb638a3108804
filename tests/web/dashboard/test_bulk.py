"""Acknowledging and resolving many incidents: what is done to each, and which failures are named."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import actions
from app.bootstrap import Services
from app.domain.incident import Incident
from app.domain.silence import MOST_VALUES
from app.store import Search, StoreUnavailable
from app.web.dashboard import bulk
from tests.fakes import Clock
from tests.web.conftest import Report, csrf_of


def send(person: FlaskClient, ids: list[str], action: str = "ack", **more: str) -> Any:
    fields = {"csrf": csrf_of(person.get("/").text), "action": action, "id": ids, "next": "/", **more}
    headers = {"Accept": "text/html"}
    return person.post("/incidents/selected", data=fields, headers=headers, follow_redirects=True)


def states(services: Services, ids: list[str]) -> list[str]:
    return [services.store.incidents.require(one).state for one in ids]


def test_all_that_are_selected_are_acknowledged_in_the_name_of_who_is_logged_in(
    person: FlaskClient, services: Services, report: Report
) -> None:
    ids = [report(title=f"Disk {n}")["id"] for n in range(3)]
    assert "Acknowledged: 2 incidents." in send(person, ids[:2]).text
    assert states(services, ids) == ["acknowledged", "acknowledged", "pending"]
    assert services.store.incidents.require(ids[0]).acknowledged_by == "Dana"


def test_each_that_fails_is_named_with_its_reason_and_the_others_are_done(
    person: FlaskClient, services: Services, report: Report
) -> None:
    over, waits = report(title="Over")["id"], report(title="Waits")["id"]
    actions.resolve(services, over, "Robin")
    page = send(person, [over, "none", waits]).text
    assert "2 of 3 were not changed" in page
    assert "nothing left to acknowledge" in page
    assert "There is no such incident" in page
    assert states(services, [over, waits]) == ["resolved", "acknowledged"]


def test_once_redis_does_not_answer_the_rest_is_not_tried(
    services: Services, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [report(title=f"Disk {n}")["id"] for n in range(4)]
    tried: list[str] = []

    def do(services: Services, incident_id: str, by: str) -> Incident:
        tried.append(incident_id)
        if incident_id == ids[1]:
            raise StoreUnavailable("Redis can't be reached.")
        return actions.acknowledge(services, incident_id, by)

    action = bulk.Action("Acknowledge", "Acknowledged", do, lambda _: True)
    outcome = bulk.act_on(services, action, ids, "Dana")
    assert tried == ids[:2]
    assert [one.id for one in outcome.changed] == ids[:1]
    assert [incident_id for incident_id, _ in outcome.failed] == ids[1:]
    assert "It was not tried" in outcome.failed[-1][1]


def test_what_takes_too_long_is_not_tried_to_the_end(
    services: Services, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SECONDS", -1.0)
    incident_id = report()["id"]
    outcome = bulk.act_on(services, bulk.ACTIONS["ack"], [incident_id], "Dana")
    assert [one for one, _ in outcome.failed] == [incident_id]
    assert states(services, [incident_id]) == ["pending"]


def test_resolving_asks_first(person: FlaskClient, services: Services, report: Report) -> None:
    incident_id = report(title="Disk <full>")["id"]
    page = send(person, [incident_id], "resolve").text
    assert "Resolve 1 incident?" in page
    assert "Disk &lt;full&gt;" in page
    assert states(services, [incident_id]) == ["pending"]
    assert "Resolved: 1 incident." in send(person, [incident_id], "resolve", sure="yes").text
    assert states(services, [incident_id]) == ["resolved"]


def test_all_that_match_are_named_before_they_are_acknowledged(
    person: FlaskClient, services: Services, report: Report
) -> None:
    ids = [report(title=f"Disk {n}", service="shop")["id"] for n in range(60)]
    report(title="Other", service="search")
    actions.acknowledge(services, ids[0], "Robin")
    page = person.get("/incidents/selected?action=ack&service=shop&state=pending&state=acknowledged").text
    assert "Acknowledge 59 incidents?" in page
    assert page.count('name="id"') == 59
    assert "Other" not in page
    assert states(services, ids[:2]) == ["acknowledged", "pending"]


@pytest.mark.parametrize(
    ("ids", "action", "words"),
    [
        ([], "ack", "Nothing is selected"),
        ([f"{n:036}" for n in range(bulk.MOST + 1)], "ack", "select 1000 at most"),
        (["a"], "escalate", "it must be ack or resolve or silence"),
    ],
)
def test_what_makes_no_sense_is_refused(person: FlaskClient, ids: list[str], action: str, words: str) -> None:
    answer = send(person, ids, action)
    assert answer.status_code == 400
    assert words in answer.text


def test_a_thousand_may_be_sent_at_once(person: FlaskClient) -> None:
    page = send(person, [f"{n:036}" for n in range(bulk.MOST)]).text
    assert "1000 of 1000 were not changed" in page


def test_it_needs_a_login_and_its_token(client: FlaskClient, person: FlaskClient, report: Report) -> None:
    incident_id = report()["id"]
    answer = person.post("/incidents/selected", data={"action": "ack", "id": incident_id})
    assert answer.status_code == 403
    stranger = client.application.test_client()
    assert stranger.get("/incidents/selected?action=ack").status_code == 303
    assert stranger.post("/incidents/selected", data={"action": "ack", "id": incident_id}).status_code == 401


def test_many_of_one_service_are_folded_at_the_place_of_the_first(
    person: FlaskClient, report: Report, clock: Clock
) -> None:
    for n in range(4):
        report({"oncall_wait_minutes": str(10 + n)}, title=f"Disk {n}", service="shop & co")
        report({"oncall_wait_minutes": str(20 + n)}, title=f"Queue {n}", service=f"queue-{n}")
    page = person.get("/").text
    assert page.count('<details class="fold') == 1
    assert page.index("shop &amp; co</span>") < page.index("Queue 0")
    assert "service=shop%20%26%20co&amp;state=pending" in page
    # Who searches sees each.
    assert '<details class="fold' not in person.get("/?state=pending").text


def undo_of(page: str) -> str:
    found = re.search(r'(?:form)?action="(/incidents/undo/[^"]+)"', page)
    assert found, page
    return found[1]


def test_an_acknowledgement_of_many_can_be_undone_where_it_is_reported(
    person: FlaskClient, services: Services, report: Report, clock: Clock
) -> None:
    mine, others, before = (report(title=title)["id"] for title in ("Mine", "Others", "Before"))
    actions.acknowledge(services, before, "Dana")
    clock.wind(seconds=1)
    # At the very moment, as somebody who is faster by a hair.
    actions.acknowledge(services, others, "Robin")
    page = send(person, [mine, others, before]).text
    assert "Acknowledged: 3 incidents." in page
    answer = person.post(undo_of(page), data={"csrf": csrf_of(page), "next": "/"}, follow_redirects=True)
    assert "No longer acknowledged: 1 incident." in answer.text
    # What was acknowledged before stays so.
    assert states(services, [mine, others, before]) == ["pending", "acknowledged", "acknowledged"]


def test_what_was_acknowledged_can_be_undone_although_others_failed(
    person: FlaskClient, services: Services, report: Report
) -> None:
    waits = report(title="Waits")["id"]
    page = send(person, ["none", waits]).text
    assert "1 of 2 were not changed" in page
    person.post(undo_of(page), data={"csrf": csrf_of(page), "next": "/"})
    assert states(services, [waits]) == ["pending"]


def test_nothing_but_an_acknowledgement_is_offered_to_be_undone(person: FlaskClient, report: Report) -> None:
    page = send(person, [report()["id"]], "resolve", sure="yes").text
    assert "/incidents/undo/" not in page
    answer = person.post("/incidents/undo/unknown", data={"csrf": csrf_of(page)})
    assert answer.status_code == 400


def test_many_are_silenced_with_what_they_have_in_common(
    person: FlaskClient, services: Services, report: Report
) -> None:
    labels = ({"env": "prod", "pod": "a"}, {"env": "prod", "zone": "eu"})
    ids = [report(title=f"Disk {n}", service="shop", labels=labels[n])["id"] for n in range(2)]
    other = report(title="Disk 3", service="shop", labels={"env": "prod"})["id"]
    page = send(person, ids, "silence").text
    assert states(services, ids) == ["pending", "pending"]
    fields = dict(re.findall(r'<textarea name="(\w+)"[^>]*>([^<]*)</textarea>', page))
    assert fields == {
        "source": "generic",
        "service": "shop",
        "severity": "",
        "title": "Disk 0\nDisk 1",
        "namespace": "",
        "labels": "env=prod",
    }
    form = {"csrf": csrf_of(page), "comment": "deployment", "minutes": "30", **fields}
    answer = person.post("/silences/new", data=form, follow_redirects=True)
    assert "Silenced, which holds 2 incidents now" in answer.text
    held = [services.store.incidents.require(one).silence_id for one in (*ids, other)]
    assert held[0] is not None
    assert held == [held[0], held[0], None]


def test_a_silence_says_what_it_leaves_out(person: FlaskClient, report: Report) -> None:
    for n in range(MOST_VALUES + 1):
        report(title=f"Disk {n}", service="shop")
    page = person.get("/incidents/selected?action=silence&service=shop").text
    assert "Left out, because too many values differ: title." in page
    assert '<textarea name="title" rows="1" spellcheck="false"></textarea>' in page


def test_incidents_of_the_service_itself_are_not_silenced(
    person: FlaskClient, client: FlaskClient, services: Services, report: Report
) -> None:
    assert client.post("/api/incidents", data="{broken").status_code == 400
    [own] = services.store.incidents.page(Search(), 5, None).incidents
    answer = send(person, [own.id], "silence")
    assert answer.status_code == 400
    assert "There is nothing to silence" in answer.text
    page = send(person, [own.id, report()["id"]], "silence").text
    assert "Filled in with what the incident has." in page
    assert "Without 1 incident of Versus Incident itself, which is never silenced." in page
    assert "silences/new" not in person.get(f"/incidents/{own.id}").text
