"""Keys and variables of the Go edition's configuration that mean nothing here, and what takes their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

Key = tuple[str, ...]

_REDIS_KEEPS_ALL = "everything is kept in Redis, see retention"
_PROXY = "set HTTPS_PROXY (and NO_PROXY), with user and password in it"
_NO_AGENT = "this edition reads no logs: let your log or metric system send webhooks"
_WEBHOOK = "let it send webhooks to /api/incidents"
_TEMPLATE = "write it in Jinja, as the `template` of an entry in alert.channels: docs/channels.md#templates"
_DEBUG = "bodies are shown by `versus show`, without their secrets, and never logged"
_VIBER = "messages go through a bot to alert.viber.user_id (VIBER_USER_ID), not to a channel"
_PROVIDER = "this provider is not there yet: page through incident_io"

GONE: Mapping[str, str] = {
    "agent": _NO_AGENT,
    "proxy": _PROXY,
    "storage": _REDIS_KEEPS_ALL,
    "queue.enable": "queue.sns.enable alone decides",
    "queue.debug_body": _DEBUG,
    "queue.sqs": _WEBHOOK,
    "queue.pubsub": f"{_WEBHOOK}, by a push subscription",
    "queue.azbus": _WEBHOOK,
    "queue.sns.https_endpoint_subscription": "subscribe the topic to this service; it confirms by itself",
    "alert.debug_body": _DEBUG,
    "alert.viber.api_type": _VIBER,
    "alert.viber.channel_id": _VIBER,
    "alert.googlechat": "add gchat://WORKSPACE/KEY/TOKEN to alert.channels",
    "alert.*.template_path": _TEMPLATE,
    "alert.*.use_proxy": _PROXY,
    "alert.msteams.other_power_url": "name it in alert.msteams.other_power_urls",
    "oncall.aws_incident_manager": _PROVIDER,
    "oncall.pagerduty": _PROVIDER,
    "oncall.servicenow": _PROVIDER,
}
"""Keys that this edition does not have, and what to do instead. What the schema has is not looked up here."""

VARIABLES: Mapping[str, str] = {
    "AGENT_ENABLE": _NO_AGENT,
    "AGENT_MODE": _NO_AGENT,
    "AGENT_NEW_SERVICE_GRACE": _NO_AGENT,
    "AGENT_SERVICE_PATTERNS": _NO_AGENT,
    "AGENT_AI_*": _NO_AGENT,
    "AWS_INCIDENT_MANAGER_*": _PROVIDER,
    "DEBUG_BODY": _DEBUG,
    "LARK_USE_PROXY": _PROXY,
    "PAGERDUTY_ROUTING_KEY": _PROVIDER,
    "PAGERDUTY_OTHER_ROUTING_KEY_*": _PROVIDER,
    "POSTGRES_DSN": _REDIS_KEEPS_ALL,
    "POSTGRES_CONNECT_TIMEOUT": _REDIS_KEEPS_ALL,
    "PROXY_PASSWORD": _PROXY,
    "PROXY_URL": _PROXY,
    "PROXY_USERNAME": _PROXY,
    "SERVICENOW_INSTANCE_URL": _PROVIDER,
    "SERVICENOW_OTHER_INSTANCE_URL_*": _PROVIDER,
    "SERVICENOW_PASSWORD": _PROVIDER,
    "SERVICENOW_USERNAME": _PROVIDER,
    "SNS_HTTPS_ENDPOINT_SUBSCRIPTION": GONE["queue.sns.https_endpoint_subscription"],
    "STORAGE_TYPE": _REDIS_KEEPS_ALL,
    "TELEGRAM_USE_PROXY": _PROXY,
    "VIBER_API_TYPE": _VIBER,
    "VIBER_CHANNEL_ID": _VIBER,
    "VIBER_USE_PROXY": _PROXY,
}
"""Variables of the environment that the Go edition alone reads, and what to do instead."""


def gone(key: Key) -> str | None:
    """What to do instead of a key of the Go edition; None for a key that it does not have."""
    for length in range(len(key), 0, -1):
        for pattern, advice in GONE.items():
            if pattern.count(".") == length - 1 and fnmatchcase(".".join(key[:length]), pattern):
                return advice
    return None


def go_variables(environ: Mapping[str, str], known: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Variables that are set and that the Go edition alone reads, with what to do instead.

    `known`: those that this configuration reads, by its own settings or by the file.
    """
    for name in sorted(environ):
        if environ[name].strip() and name not in known:
            for pattern, advice in VARIABLES.items():
                if fnmatchcase(name, pattern):
                    yield name, advice
