"""Keys and variables of the Go edition's configuration that mean nothing here, and what takes their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from config.values import Key

Fate = Literal["kept", "renamed", "changed", "gone", "unknown"]


@dataclass(frozen=True, slots=True)
class Advice:
    """What became of a key or a variable, and what to do about it."""

    fate: Fate
    text: str = ""


_REDIS_KEEPS_ALL = Advice("gone", "everything is kept in Redis, see retention")
_PROXY = Advice("renamed", "set HTTPS_PROXY (and NO_PROXY), with user and password in it")
_FOR_ALL = Advice("gone", "HTTPS_PROXY is used for every channel and provider")
_NO_AGENT = Advice("gone", "this edition reads no logs: let your log or metric system send webhooks")
_WEBHOOK = Advice("gone", "let it send webhooks to /api/incidents")
_TEMPLATE = Advice(
    "renamed",
    "write it in Jinja, as the `template` of an entry in alert.channels: docs/channels.md#templates",
)
_DEBUG = Advice("gone", "bodies are shown by `versus show`, without their secrets, and never logged")
_VIBER = Advice("gone", "messages go through a bot to alert.viber.user_id (VIBER_USER_ID), not to a channel")
_SUBSCRIPTION = Advice("gone", "subscribe the topic to this service's address; it confirms by itself")

GONE: Mapping[str, Advice] = {
    "agent": _NO_AGENT,
    "proxy": _PROXY,
    "storage": _REDIS_KEEPS_ALL,
    "queue.enable": Advice("gone", "queue.sns.enable alone decides"),
    "queue.debug_body": _DEBUG,
    "queue.sqs": _WEBHOOK,
    "queue.pubsub": Advice("gone", f"{_WEBHOOK.text}, by a push subscription"),
    "queue.azbus": _WEBHOOK,
    "queue.sns.https_endpoint_subscription": _SUBSCRIPTION,
    "alert.debug_body": _DEBUG,
    "alert.viber.api_type": _VIBER,
    "alert.viber.channel_id": _VIBER,
    "alert.googlechat": Advice("renamed", "add gchat://WORKSPACE/KEY/TOKEN to alert.channels"),
    "alert.*.template_path": _TEMPLATE,
    "alert.*.use_proxy": _FOR_ALL,
    "alert.msteams.other_power_url": Advice("renamed", "name it in alert.msteams.other_power_urls"),
}
"""Keys that this edition does not have. What the schema has is not looked up here."""

VARIABLES: Mapping[str, Advice] = {
    name: advice
    for names, advice in (
        ("AGENT_ENABLE AGENT_MODE AGENT_NEW_SERVICE_GRACE AGENT_SERVICE_PATTERNS AGENT_AI_*", _NO_AGENT),
        ("DEBUG_BODY", _DEBUG),
        ("LARK_USE_PROXY TELEGRAM_USE_PROXY VIBER_USE_PROXY", _FOR_ALL),
        ("POSTGRES_DSN POSTGRES_CONNECT_TIMEOUT STORAGE_TYPE", _REDIS_KEEPS_ALL),
        ("PROXY_PASSWORD PROXY_URL PROXY_USERNAME", _PROXY),
        ("SNS_HTTPS_ENDPOINT_SUBSCRIPTION", _SUBSCRIPTION),
        ("VIBER_API_TYPE VIBER_CHANNEL_ID", _VIBER),
    )
    for name in names.split()
}
"""Variables of the environment that the Go edition alone reads."""


def gone(key: Key) -> Advice | None:
    """What became of a key of the Go edition; None for a key that it does not have."""
    for length in range(len(key), 0, -1):
        for pattern, advice in GONE.items():
            if pattern.count(".") == length - 1 and fnmatchcase(".".join(key[:length]), pattern):
                return advice
    return None


def go_variables(environ: Mapping[str, str], known: frozenset[str]) -> Iterator[tuple[str, Advice]]:
    """Variables that are set and that the Go edition alone reads.

    `known`: those that this configuration reads, by its own settings or by the file.
    """
    for name in sorted(environ):
        if environ[name].strip() and name not in known:
            for pattern, advice in VARIABLES.items():
                if fnmatchcase(name, pattern):
                    yield name, advice
