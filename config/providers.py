"""Settings of the on-call providers, as the Go edition names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, ClassVar, TypeVar

from pydantic import Field, SecretStr

from config.block import Block
from config.values import (
    ApiKey,
    Arn,
    ConfigId,
    Headers,
    JsonTemplate,
    PassPhrase,
    ProviderAddress,
    SecretAddress,
    Setting,
    TableName,
    TitleTemplate,
)

DEFAULT = "default"

Place = TypeVar("Place")

_ID = "a config ID as incident.io shows it, without spaces and slashes"
_API_KEY = "an API key, without spaces and line ends"
_KEY = "an integration key, without spaces and line ends"
_LIMIT = "a whole number of events, 0 or more (0: no limit)"
_ADDRESS = "an https address such as https://{}"
_ARN = "the ARN of a response plan"
_OTHERS = "a mapping of names to {}"

PerMinute = Annotated[int, Field(ge=0), Setting(_LIMIT)]


@dataclass(frozen=True, slots=True)
class Others:
    """Where the places stand that a request may name, besides the configured one."""

    key: str
    """A mapping of names to them."""
    of: type[Block]
    variables: str
    """The beginning of the variables that add one each."""
    configured: str
    """The key of the configured one, which is called `default`."""


class ProviderBlock(Block, ABC):
    """What every provider has: places that a page can go to, by name; `default` is the configured one."""

    noun: ClassVar[str]
    """What such a place is called."""
    parameter: ClassVar[str]
    """By which a request names one."""
    others: ClassVar[Others]
    required: ClassVar[Mapping[str, str]]
    """Keys without which nobody can be paged, and what they hold."""

    @property
    @abstractmethod
    def places(self) -> Mapping[str, object]:
        """Those that are complete, by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the places."""
        return tuple(self.places)

    def missing(self) -> Iterator[tuple[str, str]]:
        """Keys that must be set before this provider can page, and the rest of the sentence."""
        for key, what in self.required.items():
            if getattr(self, key) is None:
                yield key, f"is missing while on-call is on: it must be {what}"


def _with_default(configured: Place | None, others: Mapping[str, Place]) -> Mapping[str, Place]:
    return {**({DEFAULT: configured} if configured else {}), **others}


@dataclass(frozen=True, slots=True)
class AlertSource:
    """An HTTP alert source of incident.io, complete with the key that it takes."""

    name: str
    id: str
    api_key: SecretStr


class Alternate(Block):
    """An alert source that a request may name."""

    id: Annotated[ConfigId, Setting(_ID)]
    api_key: Annotated[ApiKey | None, Setting(_API_KEY)] = None
    """Its own key; otherwise it takes the default one."""


class IncidentIo(ProviderBlock):
    """The provider incident.io."""

    noun = "alert source"
    parameter = "incidentio_other_alert_source"
    others = Others(
        "other_alert_source_config_ids",
        Alternate,
        "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_",
        "alert_source_config_id",
    )
    required: ClassVar[Mapping[str, str]] = {
        "api_key": "the API key of your incident.io alert source",
        "alert_source_config_id": "the config ID of your incident.io alert source",
    }

    api_key: Annotated[ApiKey | None, Setting(_API_KEY, "INCIDENTIO_API_KEY")] = None
    alert_source_config_id: Annotated[ConfigId | None, Setting(_ID, "INCIDENTIO_ALERT_SOURCE_CONFIG_ID")] = (
        None
    )
    other_alert_source_config_ids: Annotated[
        Mapping[str, Alternate], Setting("a mapping of names to alert source config IDs")
    ] = Field(default={})
    base_url: Annotated[
        ProviderAddress,
        Setting("an https address such as https://api.incident.io", "INCIDENTIO_BASE_URL"),
    ] = "https://api.incident.io"
    title: Annotated[
        TitleTemplate, Setting("a Jinja template that renders, such as Incident {{ incident.id }}")
    ] = "Incident {{ incident.id }}"
    max_per_minute: PerMinute = 120
    """Events a minute and alert source; incident.io's documented limit. 0: no limit of ours."""
    max_per_minute_per_key: PerMinute = 1_200
    """Events a minute with one API key, for all its alert sources; as documented there, and 0 as above."""
    heartbeat_config_id: Annotated[ConfigId | None, Setting(_ID)] = None
    account_api_key: Annotated[ApiKey | None, Setting(_API_KEY, "INCIDENTIO_ACCOUNT_API_KEY")] = None
    """Of the account, not of an alert source: for what comes after a page. Without it nothing is asked."""

    @property
    def alert_sources(self) -> Mapping[str, AlertSource]:
        """`default` and the alternates, as far as they are complete."""
        ids = {DEFAULT: (self.alert_source_config_id, None)} | {
            name: (other.id, other.api_key) for name, other in self.other_alert_source_config_ids.items()
        }
        return {
            name: AlertSource(name, source_id, key)
            for name, (source_id, own_key) in ids.items()
            if source_id and (key := own_key or self.api_key)
        }

    @property
    def places(self) -> Mapping[str, AlertSource]:
        """See `ProviderBlock`."""
        return self.alert_sources


class RoutingKey(Block):
    """Another service of PagerDuty."""

    id: Annotated[ApiKey, Setting(_KEY)]


class PagerDuty(ProviderBlock):
    """PagerDuty, through its Events API v2."""

    noun = "routing key"
    parameter = "pagerduty_other_routing_key"
    others = Others("other_routing_keys", RoutingKey, "PAGERDUTY_OTHER_ROUTING_KEY_", "routing_key")
    required: ClassVar[Mapping[str, str]] = {
        "routing_key": "the integration key of a service (Events API v2)"
    }

    routing_key: Annotated[ApiKey | None, Setting(_KEY, "PAGERDUTY_ROUTING_KEY")] = None
    other_routing_keys: Annotated[Mapping[str, RoutingKey], Setting(_OTHERS.format("integration keys"))] = (
        Field(default={})
    )
    base_url: Annotated[ProviderAddress, Setting(_ADDRESS.format("events.pagerduty.com"))] = (
        "https://events.pagerduty.com"
    )
    max_per_minute: PerMinute = 120

    @property
    def places(self) -> Mapping[str, SecretStr]:
        """Routing keys."""
        return _with_default(
            self.routing_key, {name: other.id for name, other in self.other_routing_keys.items()}
        )


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of ServiceNow, complete with the user that writes there."""

    url: str
    username: str
    password: SecretStr


class OtherInstance(Block):
    """An instance that a request may name; without a user of its own it has the default one's."""

    id: Annotated[ProviderAddress, Setting(_ADDRESS.format("other.service-now.com"))]
    username: Annotated[str | None, Setting("a user name")] = None
    password: Annotated[PassPhrase | None, Setting("a password")] = None


class ServiceNow(ProviderBlock):
    """ServiceNow, through its Table API."""

    noun = "instance"
    parameter = "servicenow_other_instance"
    others = Others("other_instance_urls", OtherInstance, "SERVICENOW_OTHER_INSTANCE_URL_", "instance_url")
    required: ClassVar[Mapping[str, str]] = {
        "instance_url": "the address of your instance, such as https://example.service-now.com",
        "username": "a user who may write the table",
        "password": "that user's password",
    }

    instance_url: Annotated[
        ProviderAddress | None, Setting(_ADDRESS.format("example.service-now.com"), "SERVICENOW_INSTANCE_URL")
    ] = None
    username: Annotated[str | None, Setting("a user name", "SERVICENOW_USERNAME")] = None
    password: Annotated[PassPhrase | None, Setting("a password", "SERVICENOW_PASSWORD")] = None
    table: Annotated[TableName, Setting("the name of a table, such as incident")] = "incident"
    close_code: Annotated[str, Setting("a text that the instance takes")] = "Solved (Permanently)"
    close_notes: Annotated[str, Setting("a text")] = "Resolved in Versus Incident"
    other_instance_urls: Annotated[
        Mapping[str, OtherInstance], Setting(_OTHERS.format("addresses of instances"))
    ] = Field(default={})
    max_per_minute: PerMinute = 120

    @property
    def places(self) -> Mapping[str, Instance]:
        """Instances."""
        all_of_them = {DEFAULT: (self.instance_url, None, None)} | {
            name: (other.id, other.username, other.password)
            for name, other in self.other_instance_urls.items()
        }
        return {
            name: Instance(url, user, password)
            for name, (url, own_user, own_password) in all_of_them.items()
            if url and (user := own_user or self.username) and (password := own_password or self.password)
        }


class ResponsePlan(Block):
    """Another response plan."""

    id: Annotated[Arn, Setting(_ARN)]


class AwsIncidentManager(ProviderBlock):
    """AWS Systems Manager Incident Manager; credentials and region come from AWS's usual places."""

    noun = "response plan"
    parameter = "awsim_other_response_plan"
    others = Others(
        "other_response_plan_arns",
        ResponsePlan,
        "AWS_INCIDENT_MANAGER_OTHER_RESPONSE_PLAN_ARN_",
        "response_plan_arn",
    )
    required: ClassVar[Mapping[str, str]] = {"response_plan_arn": _ARN}

    response_plan_arn: Annotated[Arn | None, Setting(_ARN, "AWS_INCIDENT_MANAGER_RESPONSE_PLAN_ARN")] = None
    other_response_plan_arns: Annotated[
        Mapping[str, ResponsePlan], Setting(_OTHERS.format("ARNs of response plans"))
    ] = Field(default={})
    max_per_minute: PerMinute = 120

    def missing(self) -> Iterator[tuple[str, str]]:
        """See `ProviderBlock`."""
        yield from super().missing()
        if find_spec("boto3") is None:
            yield (
                "response_plan_arn",
                "needs boto3, which is not installed: pip install 'versus-incident[aws]'",
            )

    @property
    def places(self) -> Mapping[str, str]:
        """ARNs of response plans."""
        return _with_default(
            self.response_plan_arn,
            {name: other.id for name, other in self.other_response_plan_arns.items()},
        )


class OtherUrl(Block):
    """Another address that takes events."""

    id: Annotated[SecretAddress, Setting(_ADDRESS.format("pages.example.com/hook"))]


class Webhook(ProviderBlock):
    """Anything that takes a signed POST."""

    noun = "URL"
    parameter = "webhook_other_url"
    others = Others("other_urls", OtherUrl, "ONCALL_WEBHOOK_OTHER_URL_", "url")
    required: ClassVar[Mapping[str, str]] = {"url": "the address that takes events"}

    url: Annotated[
        SecretAddress | None, Setting(_ADDRESS.format("pages.example.com/hook"), "ONCALL_WEBHOOK_URL")
    ] = None
    secret: Annotated[PassPhrase | None, Setting("a secret that signs bodies", "ONCALL_WEBHOOK_SECRET")] = (
        None
    )
    headers: Annotated[Headers, Setting("a mapping of header names to values")] = Field(default={})
    template: Annotated[JsonTemplate | None, Setting("a Jinja template that renders JSON")] = None
    other_urls: Annotated[Mapping[str, OtherUrl], Setting(_OTHERS.format("addresses"))] = Field(default={})
    max_per_minute: PerMinute = 120

    @property
    def places(self) -> Mapping[str, SecretStr]:
        """URLs."""
        return _with_default(self.url, {name: other.id for name, other in self.other_urls.items()})
