"""`${VAR}` and `${VAR:-default}` in the texts of the configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from config.values import InvalidValue

# `$${` is a literal `${`; a `${` that begins no reference is a mistake.
_REFERENCE = re.compile(
    r"\$(?P<literal>\$\{)|\$\{(?P<name>[A-Za-z_]\w*)(:-(?P<default>((?!\$\{)[^}])*))?\}|(?P<wrong>\$\{)",
    re.ASCII,
)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """The text with each `${VAR}` and `${VAR:-default}` replaced, once; an unset variable is empty.

    Raises `InvalidValue` for a `${` that begins neither.
    """

    def replaced(match: re.Match[str]) -> str:
        if match["wrong"]:
            raise InvalidValue(
                "has a ${ that begins neither ${VAR} nor ${VAR:-default}: "
                "fix it, or write $${ for a literal ${"
            )
        if match["literal"]:
            return match["literal"]
        return environ.get(match["name"], "") or match["default"] or ""

    return _REFERENCE.sub(replaced, text)


def variables(text: str) -> list[str]:
    """The names of those that it refers to."""
    return [match["name"] for match in _REFERENCE.finditer(text) if match["name"]]
