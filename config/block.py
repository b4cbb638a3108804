"""What every mapping of the configuration file is."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from config.hours import Hours
from config.match import Match


class Block(BaseModel):
    """A mapping of the configuration file. Its values can't be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def describe(self) -> dict[str, Any]:
        """Every setting with the value that is in force; `<secret>` stands for a secret."""
        fields = type(self).model_fields
        return {name: _described(getattr(self, name)) for name in fields if not fields[name].exclude}

    def secrets(self) -> list[str]:
        """Every secret value in it, none of them empty."""
        found: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            for inner in value.values() if isinstance(value, Mapping) else (value,):
                if isinstance(inner, SecretStr):
                    found.append(inner.get_secret_value())
                elif isinstance(inner, Block):
                    found += inner.secrets()
        return list(dict.fromkeys(filter(None, found)))


def _described(value: object) -> object:
    if isinstance(value, SecretStr):
        return "<secret>"
    if isinstance(value, Block):
        return value.describe()
    if isinstance(value, (Match, Hours)):
        return value.written()
    if isinstance(value, Mapping):
        return {name: _described(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return [_described(inner) for inner in value]
    return str(value) if isinstance(value, (IPv4Network, IPv6Network)) else value
