"""What comes after a page at incident.io: its shapes are the official SDK's, and no answer does harm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from incident_io.models.alert_sources_show_result_v2 import AlertSourcesShowResultV2
from incident_io.models.alerts_list_result_v2 import AlertsListResultV2
from incident_io.models.escalations_list_result_v2 import EscalationsListResultV2
from incident_io.models.escalations_respond_escalation_payload_v2 import EscalationsRespondEscalationPayloadV2
from incident_io.models.schedules_list_result_v2 import SchedulesListResultV2

from app.destinations.base import PagerEvent
from app.destinations.incident_io.on_call import nobody
from app.destinations.incident_io.provider import IncidentIo
from app.domain.delivery import Outcome
from app.domain.trace import Trace
from local.simulator import Simulator
from tests.destinations.conftest import PAGE_URL, MakeProvider, an_event, an_incident, soon

ACCOUNT_KEY = "planted-account-key"


@pytest.fixture
def told(simulator: Simulator, make_provider: MakeProvider) -> IncidentIo:
    """A provider with a key of the account."""
    simulator.account.keys = {ACCOUNT_KEY}
    return make_provider(simulator.base_url, INCIDENTIO_ACCOUNT_API_KEY=ACCOUNT_KEY)


def page(provider: IncidentIo) -> Outcome:
    return provider.send(an_event(), deadline=soon())


def trace(provider: IncidentIo) -> Trace:
    return provider.trace("id-1", "default", deadline=soon())


def acknowledge(provider: IncidentIo, failures: int = 0) -> Outcome:
    event = PagerEvent("acknowledged", an_incident(), PAGE_URL, failures=failures)
    return provider.send(event, deadline=soon())


def asked(simulator: Simulator) -> list[str]:
    """What was asked with the key of the account."""
    return [one.path for one in simulator.requests if not one.path.startswith("/v2/alert_events/")]


def test_without_a_key_of_the_account_nothing_is_asked(provider: IncidentIo, simulator: Simulator) -> None:
    assert not page(provider).traceable
    assert trace(provider) == Trace("unknown")
    assert provider.on_call(deadline=soon()) is None
    assert acknowledge(provider).verdict == "final"
    assert asked(simulator) == []


def test_it_says_who_was_notified(told: IncidentIo, simulator: Simulator) -> None:
    assert page(told).traceable
    assert trace(told) == Trace("notified", "incident.io notified Ada Lovelace")
    simulator.account.people = []
    assert trace(told).finding == "nobody_yet"
    simulator.account.escalates = False
    assert trace(told).finding == "nobody_yet"


def test_that_there_is_no_alert_counts_where_the_source_is_seen_and_keeps_its_keys(
    told: IncidentIo, simulator: Simulator
) -> None:
    page(told)
    simulator.account.drops = True
    found = trace(told)
    assert (found.finding, "has filters" in found.detail) == ("no_alert", True)
    # A source that makes keys of its own may well have the alert.
    simulator.account.source_type = "http_custom"
    assert trace(told).finding == "unknown"


def test_a_key_of_another_account_sees_neither_alert_nor_source(told: IncidentIo) -> None:
    assert trace(told).finding == "unknown"


def test_other_peoples_alerts_and_escalations_are_left_alone(told: IncidentIo, simulator: Simulator) -> None:
    page(told)
    simulator.account.others = True
    assert trace(told).finding == "unknown"
    assert acknowledge(told).verdict == "final"
    assert simulator.account.acknowledged == []


NO_META: dict[str, Any] = {"alerts": []}
GARBAGE: list[tuple[int, Any]] = [
    (200, "<html>a proxy's page</html>"),
    (200, []),
    (200, {}),
    (200, {"alerts": None, "pagination_meta": {}}),
    (200, {"alerts": ["x"], "pagination_meta": {}}),
    (200, {"alerts": [{}], "pagination_meta": {}}),
    (200, NO_META),
    (201, {"alerts": [], "pagination_meta": {}}),
    (204, None),
    (302, None),
    (400, {}),
    (401, {"errors": [{"message": ACCOUNT_KEY}]}),
    (403, {}),
    (404, {}),
    (422, {}),
    (429, {}),
    (500, {}),
    (502, "<html>"),
]


@pytest.mark.parametrize(("status", "body"), GARBAGE)
def test_an_answer_that_is_not_understood_is_not_known(
    told: IncidentIo, simulator: Simulator, capsys: pytest.CaptureFixture[str], status: int, body: Any
) -> None:
    page(told)
    simulator.answer_with(status, body=body)
    assert trace(told).finding == "unknown"
    outcome = acknowledge(told, failures=9)
    assert outcome.verdict == ("try_again" if status in (429, 500, 502) else "final")
    assert not outcome.back_off_all
    assert told.on_call(deadline=soon()) is None
    assert ACCOUNT_KEY not in f"{outcome}{trace(told)}{capsys.readouterr()}"


@pytest.mark.parametrize("mode", ["reset", "garbage"])
def test_no_answer_is_not_known(told: IncidentIo, simulator: Simulator, mode: str) -> None:
    page(told)
    simulator.answer_with(200, mode=mode)
    assert trace(told).finding == "unknown"
    assert acknowledge(told).verdict == "try_again"


def test_garbage_at_the_second_question_is_not_known(told: IncidentIo, simulator: Simulator) -> None:
    page(told)
    simulator.account.people = ["Ada"]
    bodies: list[dict[str, Any]] = [{}, {"escalations": {}}, {"escalations": [{"id": "x"}]}]
    for body in bodies:
        alert = simulator.account._alerts({"deduplication_key[is]": "id-1"}, simulator.alerts)
        simulator.answer_next(200, body=alert.body)
        simulator.answer_next(200, body=body)
        assert trace(told).finding == "unknown"


def test_an_escalation_of_another_alert_is_not_acknowledged(told: IncidentIo, simulator: Simulator) -> None:
    page(told)
    alerts = simulator.account._alerts({"deduplication_key[is]": "id-1"}, simulator.alerts)
    others = simulator.account._escalations({}, {("main", "another"): "firing"})
    for reply in (alerts, others):
        simulator.answer_next(200, body=reply.body)
    assert acknowledge(told).verdict == "final"
    assert not [one for one in simulator.requests if one.path.endswith("/respond")]


def test_an_acknowledgement_reaches_the_escalation(told: IncidentIo, simulator: Simulator) -> None:
    page(told)
    assert acknowledge(told) == Outcome("delivered", "incident.io acknowledged 1 escalation(s).")
    assert simulator.account.acknowledged == ["alert-main-id-1"]
    # Again there is nothing to acknowledge any more.
    assert acknowledge(told).delivered
    assert len(simulator.account.acknowledged) == 1
    [sent] = [one.body for one in simulator.requests if one.path.endswith("/respond")]
    assert EscalationsRespondEscalationPayloadV2.from_dict(sent).to_dict() == sent


def test_an_acknowledgement_waits_for_the_escalation_but_not_for_ever(
    told: IncidentIo, simulator: Simulator
) -> None:
    page(told)
    simulator.account.escalates = False
    early = acknowledge(told)
    assert (early.verdict, early.not_before) == ("try_again", 5.0)
    late = acknowledge(told, failures=5)
    assert (late.verdict, "none was acknowledged" in late.detail) == ("delivered", True)


def test_who_is_on_call(told: IncidentIo, simulator: Simulator) -> None:
    assert told.on_call(deadline=soon()) == {"Primary": True}
    simulator.account.schedules = {"Primary": ["Ada"], "Night": []}
    assert told.on_call(deadline=soon()) == {"Primary": True, "Night": False}


PEOPLE: list[tuple[Mapping[str, bool], str | None]] = [
    ({}, None),
    ({"a": True}, None),
    ({"a": True, "b": False}, "nobody in b"),
    ({"a": False, "b": False}, "NOBODY is on call now, in any of 2 schedule(s)"),
]


@pytest.mark.parametrize(("people", "sentence"), PEOPLE)
def test_what_is_said_of_schedules(people: Mapping[str, bool], sentence: str | None) -> None:
    assert nobody(people) == sentence


def test_the_simulator_answers_in_the_shapes_of_the_sdk(told: IncidentIo, simulator: Simulator) -> None:
    page(told)
    account, alerts = simulator.account, simulator.alerts
    account.drops = False
    shapes: list[tuple[Any, Any]] = [
        (AlertsListResultV2, account._alerts({}, alerts)),
        (EscalationsListResultV2, account._escalations({}, alerts)),
        (SchedulesListResultV2, account._schedules()),
        (AlertSourcesShowResultV2, account._source("main", {"main"})),
    ]
    for model, reply in shapes:
        read = model.from_dict(json.loads(json.dumps(reply.body)))
        assert read.additional_properties == {}
        assert read.to_dict().keys() == reply.body.keys()


def test_the_simulator_knows_no_other_parameters(told: IncidentIo, simulator: Simulator) -> None:
    headers = {"Authorization": f"Bearer {ACCOUNT_KEY}"}
    base = f"{simulator.base_url}/v2"
    assert requests.get(f"{base}/alerts?deduplication_key=x", headers=headers, timeout=5).status_code == 422
    assert requests.get(f"{base}/alerts", timeout=5).status_code == 401
