"""What is refused is seen: an incident for each sender and kind of error, until the sender is read again."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from app import actions
from app.bootstrap import Services
from app.delivery import pages
from app.destinations.channels import Channels
from app.domain.incident import Incident
from app.domain.state import State
from app.ingest.refused import JOINS_A_SECOND, resolve_over
from app.store import Search
from app.store.refused import MOST_OPEN
from app.web import create_app
from app.web.http.body import MAX_BODY
from config import ChannelSettings
from tests.fakes import PAGER, Clock, RecordingChannel, RecordingProvider

SECRET = "test-intake-secret-71"
ZABBIX = {"User-Agent": "Zabbix/7.0"}
BROKEN = b'{"title": "cut'


def refuse(client: FlaskClient, query: str = "", data: bytes = BROKEN, agent: str = "Zabbix/7.0") -> int:
    return client.post(f"/api/incidents{query}", data=data, headers={"User-Agent": agent}).status_code


def reported(services: Services, *states: State) -> list[Incident]:
    """The incidents about refused webhooks, the newest first."""
    found = services.store.incidents.page(Search(frozenset(states)), 100, None).incidents
    return [one for one in found if one.source == "versus"]


def only(services: Services) -> Incident:
    [incident] = reported(services)
    return incident


def opened(services: Services) -> list[Incident]:
    return reported(services, *(state for state in State if state is not State.RESOLVED))


def served(services: Services, **changed: Any) -> FlaskClient:
    """The service with another configuration."""
    config = services.config.model_copy(update=changed)
    return create_app(replace(services, config=config)).test_client()


def with_refused(services: Services, how: str) -> dict[str, Any]:
    return {"intake": services.config.intake.model_copy(update={"refused": how})}


# -- what is opened -----------------------------------------------------------------------------------------


def test_it_names_error_address_and_user_agent_and_pages(
    client: FlaskClient, services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    answer = client.post("/api/incidents", data=BROKEN, headers=ZABBIX)
    incident = only(services)
    assert incident.title == f"Webhook refused: {answer.get_json()['error']}"
    assert (incident.severity, incident.state) == ("medium", State.PENDING)
    assert "127.0.0.1" in incident.description
    assert "Zabbix/7.0" in incident.description
    clock.wind(minutes=3)
    pages.deliver(services, incident.id, [PAGER])
    assert provider.notified() == [("firing", incident.id)]


def test_the_body_is_on_the_dashboard_alone(person: FlaskClient, services: Services) -> None:
    refuse(person, data=b'{"title": "planted-word')
    incident = only(services)
    assert "planted-word" not in incident.title + incident.description
    assert "planted-word" in person.get(f"/incidents/{incident.id}").text
    assert "planted-word" in person.get("/rejected").text


def test_of_a_packed_body_the_beginning_of_what_is_in_it_is_shown(
    client: FlaskClient, services: Services
) -> None:
    packed = gzip.compress(b'{"title": "planted-word')
    client.post("/api/incidents", data=packed, headers={"Content-Encoding": "gzip"})
    assert services.store.incidents.payload(only(services).id)["body"] == '{"title": "planted-word'


@pytest.mark.parametrize(
    ("query", "data", "status"),
    [
        ("", BROKEN, 400),
        ("", b"null", 400),
        ("", b" " * (MAX_BODY + 1), 413),
        ("?oncall_wait_minutes=-1", b"{}", 400),
        ("?oncall_wiat_minutes=1", b"{}", 400),
        ("?incidentio_other_alert_source=infrared", b"{}", 400),
        ("?channels=nobody", b"{}", 400),
    ],
)
def test_whatever_the_reason_somebody_is_paged(
    client: FlaskClient, services: Services, query: str, data: bytes, status: int
) -> None:
    assert refuse(client, query, data) == status
    assert only(services).state is State.PENDING


def test_it_goes_where_the_webhook_would_have_gone(client: FlaskClient, services: Services) -> None:
    refuse(client, "?incidentio_other_alert_source=infra&oncall_wait_minutes=7")
    assert (only(services).alert_source, str(only(services).due_at)) == ("infra", "2026-03-04 03:07:00+00:00")


def test_a_webhook_that_would_not_have_paged_is_seen_and_pages_nobody(
    client: FlaskClient, services: Services
) -> None:
    refuse(client, "?oncall_enable=false")
    assert only(services).state is State.OPEN


@pytest.mark.parametrize("data", [b"", b" \r\n", b"[]"])
def test_an_empty_body_opens_nothing(client: FlaskClient, services: Services, data: bytes) -> None:
    assert refuse(client, data=data) == 400
    assert reported(services) == []


@pytest.mark.parametrize("data", [BROKEN, b'{"title": "x"}', b" " * (MAX_BODY + 1)])
def test_what_would_not_have_come_in_opens_nothing(services: Services, data: bytes) -> None:
    client = served(services, intake_secret=SecretStr(SECRET))
    assert refuse(client, data=data) in (401, 413)
    assert refuse(client, "?token=wrong", data) in (401, 413)
    assert reported(services) == []


def test_a_wrong_signature_opens_nothing_though_no_secret_is_asked_for(services: Services) -> None:
    signatures = services.config.intake_signatures.model_copy(update={"sentry": SecretStr(SECRET)})
    client = served(services, intake_signatures=signatures)
    for data in (BROKEN, b'{"title": "x"}'):
        answer = client.post("/api/incidents", data=data, headers={"Sentry-Hook-Signature": "wrong"})
        assert answer.status_code == 401
    assert reported(services) == []


@pytest.mark.parametrize("data", [BROKEN, b" " * (MAX_BODY + 1)])
def test_with_the_secret_it_does(services: Services, data: bytes) -> None:
    refuse(served(services, intake_secret=SecretStr(SECRET)), f"?token={SECRET}", data)
    assert SECRET not in str(only(services))


def test_no_secret_is_in_the_incident(client: FlaskClient, services: Services) -> None:
    refuse(
        client,
        data=b'{"token": "planted-secret", "x": ',
        agent="curl https://x.example/?token=planted-secret",
    )
    payload = services.store.incidents.payload(only(services).id)
    assert "planted-secret" not in f"{only(services)} {payload}"


def test_it_may_only_be_kept_or_only_notify(services: Services) -> None:
    refuse(served(services, **with_refused(services, "keep")))
    assert reported(services) == []
    assert len(services.store.rejected.newest(10)) == 1
    channels = Channels([ChannelSettings("ops", SecretStr("json://localhost"))], {"ops": RecordingChannel()})
    loud = replace(services, channels=channels)
    for query in ("?oncall_enable=true", "?oncall_enable=soon"):
        refuse(served(loud, **with_refused(services, "notify")), query)
    assert [one.state for one in reported(services)] == [State.OPEN, State.OPEN]
    assert [one.subscriptions[0].destination for one in reported(services)] == ["ops", "ops"]


def test_where_nobody_can_be_paged_the_answer_is_the_same(services: Services) -> None:
    silent = services.config.oncall.incident_io.model_copy(update={"api_key": None})
    oncall = services.config.oncall.model_copy(update={"incident_io": silent, "enable": False})
    assert refuse(served(services, oncall=oncall), "?oncall_enable=true", b"{}") == 400
    assert only(services).state is State.OPEN


# -- what joins it ------------------------------------------------------------------------------------------


def test_the_same_error_of_the_same_sender_joins_it(client: FlaskClient, services: Services) -> None:
    refuse(client)
    refuse(client, data=b'{"title": "cut elsewhere", ')
    assert only(services).occurrences == 2


def test_another_sender_or_another_kind_of_error_is_another_incident(
    client: FlaskClient, services: Services
) -> None:
    refuse(client)
    refuse(client, agent="Icinga")
    client.post("/api/incidents", data=BROKEN, headers=ZABBIX, environ_base={"REMOTE_ADDR": "10.0.0.7"})
    refuse(client, "?oncall_enable=soon", b"{}")
    refuse(client, data=b" " * (MAX_BODY + 1))
    assert [one.occurrences for one in reported(services)] == [1] * 5


def test_at_most_twenty_are_open_and_the_others_join_one(client: FlaskClient, services: Services) -> None:
    for n in range(MOST_OPEN + 5):
        refuse(client, agent=f"sender {n}")
    assert MOST_OPEN == 20
    assert sorted(one.occurrences for one in opened(services)) == [*[1] * 20, 5]
    refuse(client, agent="sender 3")
    assert sorted(one.occurrences for one in opened(services)) == [*[1] * 19, 2, 5]
    # Room is made by whatever resolves one.
    actions.resolve(services, min(opened(services), key=lambda one: one.occurrences).id, "Robin")
    refuse(client, agent="one more")
    assert len(opened(services)) == MOST_OPEN + 1


def test_a_flood_is_not_a_flood_of_writes(client: FlaskClient, services: Services) -> None:
    for n in range(60):
        refuse(client, data=b"broken %d" % n)
    incident = only(services)
    assert JOINS_A_SECOND <= incident.occurrences < 60
    entries = services.store.rejected.newest(100)
    assert {entry["incident"] for entry in entries} == {incident.id}
    assert len(entries) == 60


# -- when it is over ----------------------------------------------------------------------------------------


def test_the_next_webhook_of_the_sender_that_is_read_resolves_it(
    client: FlaskClient, services: Services, clock: Clock
) -> None:
    refuse(client)
    refuse(client, "?oncall_enable=soon", b"{}")
    refuse(client, agent="Icinga")
    resolve_over(services)
    assert len(opened(services)) == 3
    assert refuse(client, data=b'{"title": "x"}') == 201
    clock.wind(seconds=1)
    resolve_over(services)
    [other] = opened(services)
    assert "Icinga" in other.description
    over = reported(services, State.RESOLVED)
    assert {one.timeline[-1].detail for one in over} == {
        "by the next webhook of its sender, which could be read"
    }
    resolve_over(services)
    assert reported(services, State.RESOLVED) == over


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"status": "resolved", "deduplication_key": "unknown"}', id="about nothing known"),
        pytest.param(b'[{"title": "x"}, {"title": "y"}]', id="an array"),
        pytest.param(b'{"title": "field "x" is wrong"}', id="repaired"),
    ],
)
def test_whatever_was_read_resolves_it(client: FlaskClient, services: Services, body: bytes) -> None:
    refuse(client)
    assert refuse(client, data=body) in (200, 201)
    resolve_over(services)
    assert opened(services) == []


def test_it_is_resolved_by_another_process_even_one_that_was_just_started(services: Services) -> None:
    refuse(create_app(services).test_client())
    refuse(create_app(services).test_client(), data=b'{"title": "x"}')
    resolve_over(services)
    assert opened(services) == []


def test_one_that_is_refused_after_that_keeps_it_open(client: FlaskClient, services: Services) -> None:
    refuse(client)
    refuse(client, data=b'{"title": "x"}')
    # However many there were within the second.
    for _ in range(JOINS_A_SECOND + 1):
        refuse(client)
    resolve_over(services)
    assert [one.state for one in reported(services)] == [State.PENDING]


def test_one_that_is_refused_while_it_is_being_resolved_keeps_it_open(
    client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(client)
    refuse(client, data=b'{"title": "x"}')
    update = Services.update

    def later(self: Services, *args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        refuse(client)
        return update(self, *args, **more)

    monkeypatch.setattr(Services, "update", later)
    resolve_over(services)
    assert [one.state for one in reported(services)] == [State.PENDING]
    refuse(client, data=b'{"title": "x"}')
    resolve_over(services)
    assert opened(services) == []


def test_without_another_it_is_over_after_a_day(
    client: FlaskClient, services: Services, clock: Clock
) -> None:
    refuse(client)
    clock.wind(hours=23)
    refuse(client)
    clock.wind(hours=23, minutes=59)
    resolve_over(services)
    assert len(opened(services)) == 1
    clock.wind(minutes=2)
    resolve_over(services)
    assert opened(services) == []
    assert only(services).timeline[-1].detail == "by 24 hours without another"
    refuse(client)
    assert len(opened(services)) == 1


def test_the_one_about_many_senders_ends_after_a_day_alone(
    client: FlaskClient, services: Services, clock: Clock
) -> None:
    for n in range(MOST_OPEN + 1):
        refuse(client, agent=f"sender {n}")
    for n in range(MOST_OPEN + 1):
        refuse(client, agent=f"sender {n}", data=b'{"title": "x"}')
    resolve_over(services)
    assert len(opened(services)) == 1
    clock.wind(hours=25)
    resolve_over(services)
    assert opened(services) == []


def test_what_was_never_stored_takes_no_room_for_ever(services: Services, clock: Clock) -> None:
    refused = services.store.refused
    for n in range(MOST_OPEN):
        assert refused.admit(f"refused body {n}", clock()) == (f"refused body {n}", False)
    assert refused.admit("refused body x", clock()) == ("refused others", False)
    clock.wind(hours=25)
    resolve_over(services)
    assert refused.admit("refused body x", clock()) == ("refused body x", False)


def test_a_pager_that_has_the_page_is_sent_the_end_of_it(
    client: FlaskClient, services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    refuse(client)
    clock.wind(minutes=4)
    pages.deliver(services, only(services).id, [PAGER])
    refuse(client, data=b'{"title": "x"}', agent="Zabbix/7.0")
    resolve_over(services)
    pages.deliver(services, only(services).id, [PAGER])
    assert [kind for kind, _ in provider.notified()] == ["firing", "resolved"]


# -- once more ----------------------------------------------------------------------------------------------


def entry_of(services: Services) -> dict[str, Any]:
    return services.store.rejected.newest(1)[0]


@pytest.fixture
def replay(services: Services) -> Callable[[], int]:
    """Sends the newest refused webhook once more, where what was missing is there."""
    channels = Channels(
        [ChannelSettings("late", SecretStr("json://localhost"))], {"late": RecordingChannel()}
    )
    service = create_app(replace(services, channels=channels)).test_client()

    def press() -> int:
        secret = services.config.gateway_secret
        assert secret is not None
        headers = {"X-Gateway-Secret": secret.get_secret_value()}
        path = f"/api/rejected/{entry_of(services)['id']}/replay"
        return service.post(path, headers=headers, json={"by": "Ada"}).status_code

    return press


def test_a_replay_resolves_it(client: FlaskClient, services: Services, replay: Callable[[], int]) -> None:
    refuse(client, "?channels=late", b'{"title": "x"}')
    incident = only(services)
    assert entry_of(services)["incident"] == incident.id
    assert replay() == 201
    assert only(services).state is State.RESOLVED
    assert "Ada" in only(services).timeline[-1].detail


def test_a_replay_that_is_refused_leaves_it_open(
    client: FlaskClient, services: Services, replay: Callable[[], int]
) -> None:
    refuse(client)
    assert replay() == 400
    assert only(services).state is State.PENDING
    assert only(services).occurrences == 1


def test_a_replay_leaves_the_one_about_many_senders_open(
    client: FlaskClient, services: Services, replay: Callable[[], int], clock: Clock
) -> None:
    for n in range(MOST_OPEN + 1):
        clock.wind(seconds=1)
        refuse(client, "?channels=late", b'{"title": "%d"}' % n, agent=f"sender {n}")
    assert replay() == 201
    assert len(opened(services)) == MOST_OPEN + 1
