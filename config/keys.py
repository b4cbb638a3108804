"""Every key of the configuration file as a path, and what kind of value stands there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import SecretStr

from config.block import Block
from config.channels import ChannelSettings, Listed
from config.hours import Hours
from config.match import Match
from config.rules import Rule
from config.schema import PROVIDERS, Config, OnCall
from config.values import Setting


def _settings(block: type[Block], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Setting]]:
    for name, field in block.model_fields.items():
        for setting in (entry for entry in field.metadata if isinstance(entry, Setting)):
            yield (*path, name), setting
        if inner := inner_block(block, name):
            yield (*path, name), Setting("a mapping of settings")
            yield from _settings(inner, (*path, name))


def inner_block(block: type[Block], name: str) -> type[Block] | None:
    """The block that a key of a block holds, if it holds one."""
    kind = block.model_fields[name].annotation
    return kind if isinstance(kind, type) and issubclass(kind, Block) else None


_OTHERS = {("oncall", name, (one := OnCall().block(name).others).key): one for name in PROVIDERS}
ALTERNATES = {path: (one.variables, one.configured) for path, one in _OTHERS.items()}
"""Mappings of names to what a request may ask for instead of the configured one, which is called `default`:
the beginning of the variables that add one, and the key of the configured one."""
CHANNELS = ("alert", "channels")
RULES = ("oncall", "rules")
LISTED: dict[tuple[str, ...], type[Block]] = {CHANNELS: Listed, RULES: Rule}
"""Lists whose entries are blocks."""
READ: dict[tuple[str, ...], Callable[[object], Any]] = {
    (*RULES, "<name>", "match"): Match.read,
    (*RULES, "<name>", "hours"): Hours.read,
}
"""Mappings that are one value; reading one raises `InvalidValue`."""
TEXTS = {
    ("alert", "msteams", "other_power_urls"),
    ("alert", "lark", "other_webhook_urls"),
    ("oncall", "webhook", "headers"),
}
"""Mappings of names to texts."""
LISTS = {
    (*CHANNELS, "<name>", "events"),
    (*RULES, "<name>", "channels"),
    ("oncall", "fallback"),
    ("oncall", "reopen_on"),
    ("intake", "secret_headers"),
}
"""Lists of texts."""
NAMED: dict[tuple[str, ...], type[Block]] = {
    **{path: one.of for path, one in _OTHERS.items()},
    **LISTED,
}
"""Mappings and lists whose entries are blocks."""
SETTINGS: dict[tuple[str, ...], Setting] = dict(_settings(Config))
"""Every key, as a path. The keys of what is named or listed stand under `<name>`."""
for _path, _block in NAMED.items():
    SETTINGS |= dict(_settings(_block, (*_path, "<name>")))

PROVIDER_SECRETS = {"api_key", "account_api_key", "routing_key"}
# Keys of channels that are secrets whatever they hold; the URL of a listed one may be none.
CHANNEL_SECRETS = {"token", "bot_token", "password", "signing_secret", "power_automate_url", "webhook_url"}


def is_secret(key: tuple[str, ...], text: str) -> bool:
    """Whether the file should not hold the value itself."""
    if rule_path(key) == (*CHANNELS, "<name>", "url"):
        # Besides the whole address, which may be one without a secret.
        return any(secret != text for secret in ChannelSettings("", SecretStr(text)).secrets())
    if key[:-1] in TEXTS or key[:3] == ("oncall", "pagerduty", "other_routing_keys"):
        return True
    return key[-1] in (CHANNEL_SECRETS if key[0] == "alert" else PROVIDER_SECRETS)


def rule_path(key: tuple[str, ...]) -> tuple[str, ...]:
    """Where the rules for a key stand in `SETTINGS`."""
    for path in NAMED:
        if key[: len(path)] == path and len(key) > len(path):
            return (*path, "<name>", *key[len(path) + 1 :])
    return key[:-1] if key[:-1] in TEXTS else key
