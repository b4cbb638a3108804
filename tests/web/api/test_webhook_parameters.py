"""Which channels a webhook's parameters ask for."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from werkzeug.datastructures import MultiDict

from app.bootstrap import Services
from app.destinations.channels import Channels, UnknownChannel
from app.domain.alert import LINE_LIMIT
from app.domain.delivery import Destination
from app.store import Search
from app.web import create_app
from app.web.api.webhook_parameters import options_of
from app.web.http.parameters import BadParameter
from config import ChannelSettings
from config.go_channels import Email
from tests.fakes import RecordingChannel

URLS = {
    "ops": "json://localhost/ops",
    "slack": "slack://xoxb-1-a/C0000000000",
    "telegram": "tgram://123456789:abcdefg/1/",
    "mail": "mailto://localhost?from=a@example.com&to=b@example.com",
    "msteams": "json://localhost/teams",
}
ASKED_ONLY = {
    "msteams-qc": "json://localhost/qc",
    "lark-dev": "json://localhost/dev",
    "night": "json://localhost/n",
}
DEFAULT = tuple(URLS)
SETTINGS = [ChannelSettings(name, SecretStr(url)) for name, url in URLS.items()]
SETTINGS += [ChannelSettings(name, SecretStr(url), default=False) for name, url in ASKED_ONLY.items()]
CHANNELS = Channels(SETTINGS, {one.name: RecordingChannel() for one in SETTINGS})
NAMES = "ops, slack, telegram, mail, msteams, msteams-qc, lark-dev, night"


def asked(of: Channels = CHANNELS, /, **parameters: str) -> tuple[Destination, ...] | None:
    return options_of(MultiDict(parameters), of).channels


def put(place: str, target: str) -> tuple[str, ...]:
    """The default channels with this one in place of that."""
    return tuple(target if name == place else name for name in DEFAULT)


def test_without_parameters_the_configuration_decides_when_it_is_told() -> None:
    assert asked() is None


@pytest.mark.parametrize(
    ("value", "channels"),
    [
        ("night", ("night",)),
        ("Night, ops,night,,", ("night", "ops")),
        ("", ()),
    ],
)
def test_a_request_names_channels(value: str, channels: tuple[str, ...]) -> None:
    assert asked(channels=value) == channels


@pytest.mark.parametrize(
    ("parameter", "value", "place", "target"),
    [
        ("slack_channel_id", "C0123456789", "slack", "slack/C0123456789"),
        ("slack_channel_id", "#ops-night", "slack", "slack/#ops-night"),
        ("telegram_chat_id", "-1001234567890", "telegram", "telegram/-1001234567890"),
        ("telegram_chat_id", "@ops", "telegram", "telegram/@ops"),
        ("email_to", "a@example.com,b.c+d@example.com", "mail", "mail/a@example.com,b.c+d@example.com"),
        ("msteams_other_power_url", "QC", "msteams", "msteams-qc"),
    ],
)
def test_another_address_replaces_that_of_a_channel(
    parameter: str, value: str, place: str, target: str
) -> None:
    assert asked(CHANNELS, **{parameter: value}) == put(place, target)


def test_another_address_is_added_where_its_channel_is_not_told() -> None:
    assert asked(lark_other_webhook_url="dev") == (*DEFAULT, "lark-dev")
    assert asked(channels="ops", email_to="a@example.com") == ("ops", "mail/a@example.com")


def test_several_parameters_go_together() -> None:
    assert asked(
        channels="mail,slack,night",
        email_to="a@example.com",
        slack_channel_id="C9",
        msteams_other_power_url="qc",
    ) == ("mail/a@example.com", "slack/C9", "night", "msteams-qc")


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("slack_channel_id", "c0123", "it must be the ID of a channel, such as C0123456789"),
        ("slack_channel_id", "C1/x", "it must be the ID of a channel"),
        ("telegram_chat_id", "12x", "it must be the ID of a chat, such as -1001234567890"),
        ("telegram_chat_id", "1/../2", "it must be the ID of a chat"),
        ("email_to", "ops", "it must be mail addresses, separated by commas, 20 at most"),
        ("email_to", "a@example.com, b@example.com", "it must be mail addresses"),
        ("email_to", "a@example.com&smtp=evil.example", "it must be mail addresses"),
        ("email_to", "a@example.com\r\nBcc: x@example.com", "it must be mail addresses"),
        ("email_to", ",".join(["a@example.com"] * 21), "20 at most"),
    ],
)
def test_an_address_that_is_none_is_told_of(parameter: str, value: str, said: str) -> None:
    with pytest.raises(BadParameter, match=f"The parameter {parameter} is ") as caught:
        asked(CHANNELS, **{parameter: value})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "value", "missing"),
    [
        ("channels", "ops,nobody", "nobody"),
        ("channels", "ops/x", "ops/x"),
        ("msteams_other_power_url", "dev", "msteams-dev"),
        ("lark_other_webhook_url", "qc", "lark-qc"),
    ],
)
def test_an_unknown_name_lists_the_names(parameter: str, value: str, missing: str) -> None:
    with pytest.raises(UnknownChannel) as caught:
        asked(CHANNELS, **{parameter: value})
    assert str(caught.value) == f"There is no channel {missing!r}: the names are {NAMES}."


def test_without_channels_an_unknown_name_says_so() -> None:
    with pytest.raises(UnknownChannel, match="the names are none, as none is configured"):
        asked(Channels([], {}), channels="ops")


def test_an_address_for_a_service_without_a_channel_is_told_of() -> None:
    with pytest.raises(UnknownChannel, match="There is no slack channel that could take another address"):
        asked(Channels(SETTINGS[:1], {}), slack_channel_id="C0123456789")


def test_a_namespace_is_a_text_of_a_length() -> None:
    assert options_of(MultiDict({"namespace": "ü" * 100}), CHANNELS).namespace == "ü" * 100
    with pytest.raises(BadParameter, match="namespace has more than 100 characters"):
        asked(CHANNELS, namespace="x" * 101)


def test_a_subject_is_one_line_of_a_length() -> None:
    parameters = MultiDict({"email_subject": "Look\r\nBcc: x@example.com" + "x" * 2_000})
    subject = options_of(parameters, CHANNELS).mail_subject or ""
    assert subject.startswith("Look Bcc: ")
    assert len(subject) <= LINE_LIMIT
    assert options_of(MultiDict({"email_subject": " "}), CHANNELS).mail_subject is None


@given(st.text(max_size=60), st.sampled_from(["slack_channel_id", "telegram_chat_id", "email_to"]))
def test_no_address_reaches_another_channel(address: str, parameter: str) -> None:
    try:
        targets = asked(CHANNELS, **{parameter: address}) or ()
    except BadParameter:
        return
    for target in targets:
        found = CHANNELS.channel(target)
        assert found is not None
        assert found[1] in (None, address)


# -- over HTTP ------------------------------------------------------------------------------------------


def with_mail(services: Services, intake_secret: SecretStr | None = None, **mail: str) -> FlaskClient:
    """A service with these channels, and these settings of mail."""
    alert = services.config.alert.model_copy(update={"email": Email(**mail)})
    config = services.config.model_copy(update={"alert": alert, "intake_secret": intake_secret})
    return create_app(replace(services, config=config, channels=CHANNELS)).test_client()


@pytest.fixture
def channelled(services: Services) -> FlaskClient:
    return with_mail(services, allowed_to="example.com")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("night@example.com", True),
        ("Night@Example.com", True),
        ("ops@example.org", True),
        ("anyone@example.net", True),
        ("night@example.com,anyone@example.net", True),
        ("other@example.org", False),
        ("night@sub.example.net", False),
        ("night@badexample.net", False),
        ("night@example.com,victim@elsewhere.example", False),
    ],
)
def test_without_an_intake_secret_mail_goes_only_where_it_is_allowed(
    address: str, allowed: bool, services: Services
) -> None:
    open_to_all = with_mail(services, to="night@example.com", allowed_to="ops@example.org, @example.net")
    query = {"email_to": address, "oncall_enable": "false"}
    answer = open_to_all.post("/api/incidents", query_string=query, json={"title": "x"})
    assert answer.status_code == (201 if allowed else 400)
    assert allowed or "alert.email.allowed_to" in answer.get_json()["error"]


def test_with_an_intake_secret_mail_goes_where_its_sender_says(services: Services) -> None:
    guarded = with_mail(services, SecretStr("an intake secret"))
    query = {"email_to": "victim@elsewhere.example", "token": "an intake secret"}
    assert guarded.post("/api/incidents", query_string=query, json={"title": "x"}).status_code == 201


def test_the_incident_keeps_what_was_asked_for(channelled: FlaskClient, services: Services) -> None:
    answer = channelled.post(
        "/api/incidents?channels=night&email_to=a@example.com&email_subject=Hi", json={"title": "x"}
    )
    assert answer.status_code == 201
    incident = services.store.incidents.get(answer.get_json()["incident"]["id"])
    assert incident is not None
    assert incident.mail_subject == "Hi"
    wanted = [one.destination for one in incident.subscriptions if "created" in one.events]
    assert wanted == ["night", "mail/a@example.com"]
    # Anyone who was not asked for is notified if the page fails, and of nothing else.
    others = {one.destination: one.events for one in incident.subscriptions if "created" not in one.events}
    assert others == dict.fromkeys(
        (set(DEFAULT) | set(ASKED_ONLY)) - {"night", "mail"} | {"mail"}, ("failed",)
    )
    assert sorted(services.store.notifications.channels()) == ["mail/a@example.com", "night"]


@pytest.mark.parametrize("query", ["channels=nobody", "email_to=ops", "channels=ops&channels=night"])
def test_what_is_wrong_is_answered_400_and_creates_nothing(
    channelled: FlaskClient, services: Services, query: str
) -> None:
    answer = channelled.post(f"/api/incidents?{quote(query, safe='=&')}", json={"title": "x"})
    assert answer.status_code == 400
    assert answer.get_json()["error"]
    [refused] = services.store.incidents.page(Search(), 2, None).incidents
    assert refused.source == "versus"


@pytest.mark.parametrize(
    ("value", "asked_for"),
    [
        *((word, True) for word in ("1", "t", "T", "TRUE", "true", "True")),
        *((word, False) for word in ("0", "f", "F", "FALSE", "false", "False")),
    ],
)
def test_booleans_are_those_of_go(value: str, asked_for: bool) -> None:
    assert options_of(MultiDict({"oncall_enable": value}), CHANNELS).oncall_enable is asked_for


@pytest.mark.parametrize("value", ["yes", "on", "tRUE", "", "2", " true", "truth"])
def test_anything_else_is_no_boolean(value: str) -> None:
    with pytest.raises(BadParameter, match="true or false"):
        options_of(MultiDict({"oncall_enable": value}), CHANNELS)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("oncall_enabled", "oncall_enable"),
        ("oncall_wait_minute", "oncall_wait_minutes"),
        ("oncall_wait", "oncall_wait_minutes"),
        ("ONCALL_ENABLE", "oncall_enable"),
        ("incidentio_alert_source", "incidentio_other_alert_source"),
        ("pagerduty_routing_key", "pagerduty_other_routing_key"),
        ("servicenow_instance", "servicenow_other_instance"),
        ("awsim_response_plan", "awsim_other_response_plan"),
        ("webhook_other_urls", "webhook_other_url"),
        ("awsim_" + "x" * 5_000, "awsim_other_response_plan"),
    ],
)
def test_a_parameter_that_looks_like_ours_and_is_none_is_refused(name: str, nearest: str) -> None:
    with pytest.raises(BadParameter, match=f"the nearest one is {nearest}"):
        options_of(MultiDict({name: "x"}), CHANNELS)


@pytest.mark.parametrize("name", ["enable", "wait", "utm_source", "on_call", "incident", "pager_duty_x"])
def test_other_parameters_are_ignored(name: str) -> None:
    assert options_of(MultiDict({name: "x"}), CHANNELS) == options_of(MultiDict(), CHANNELS)
