"""The page of silences, the form, and what the incident's page and the status bar say."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.web.conftest import Report, csrf_of


def make(person: FlaskClient, **fields: str) -> int:
    form = {"csrf": csrf_of(person.get("/silences/new").text), "comment": "deployment", "minutes": "30"}
    return person.post("/silences/new", data={**form, **fields}).status_code


def test_an_incident_can_be_silenced_from_its_page(person: FlaskClient, report: Report) -> None:
    incident = report(service="checkout", severity="low", labels={"env": "prod"})
    page = person.get(f"/incidents/{incident['id']}").text
    assert f"/silences/new?incident={incident['id']}" in page
    form = person.get(f"/silences/new?incident={incident['id']}").text
    for filled in (">checkout</textarea>", ">low</textarea>", ">env=prod</textarea>"):
        assert filled in form
    assert make(person, service="checkout", labels="env=prod\r\n") == 303
    assert ">the silence</a>" in person.get(f"/incidents/{incident['id']}").text
    listed = person.get("/silences").text
    assert "service checkout, label.env prod" in listed
    assert "holds 1 incident " in listed
    assert "1 active, holding 1" in person.get("/").text


def test_ending_it_releases_what_it_holds(person: FlaskClient, report: Report) -> None:
    incident = report(service="checkout")
    make(person, service="checkout")
    [silence] = person.get("/api/silences").get_json()["silences"]
    assert silence["by"] == "Dana"
    form = {"csrf": csrf_of(person.get("/silences").text)}
    assert person.post(f"/silences/{silence['id']}/end", data=form).status_code == 303
    page = person.get("/silences").text
    assert "No silence is active." in page
    assert "by <bdi>Dana</bdi>" in page
    assert ">the silence</a>" not in person.get(f"/incidents/{incident['id']}").text


def test_a_mistake_keeps_what_was_filled_in(person: FlaskClient) -> None:
    form = {"csrf": csrf_of(person.get("/silences/new").text), "minutes": "120"}
    answer = person.post("/silences/new", data={**form, "service": "check*", "comment": " "})
    assert answer.status_code == 400
    assert "A silence needs a comment" in answer.text
    assert ">check*</textarea>" in answer.text
    assert '<option value="120" selected>' in answer.text
    assert make(person, labels="env") == 400
    assert make(person, service="*") == 400


def test_another_site_can_make_none(person: FlaskClient) -> None:
    form = {"service": "x", "comment": "y", "minutes": "30"}
    assert person.post("/silences/new", data=form).status_code == 403
