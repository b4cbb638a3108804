"""`versus check-config --from-go FILE`: what becomes of each line of a Go edition's configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config.document import read_document, variables
from config.go_edition import Advice, go_variables, gone
from config.keys import ALTERNATES, SETTINGS, TEXTS, rule_path
from config.values import Key
from config.warnings import OWN_VARIABLES

# Go expands these too.
WITHOUT_BRACES = re.compile(r"(?<!\$)\$[A-Za-z_]\w*", re.ASCII)
LONGEST_PATH = 200

_KEPT = Advice("kept")
_UNKNOWN = Advice("unknown", "neither edition has it")
_BRACES = Advice("changed", "only ${VARIABLE} is expanded here, not $VARIABLE: write the braces")
_TLS = Advice(
    "changed",
    "not set, that edition encrypts; this one does only if it is true, or REDIS_URL is rediss://…: set it",
)
_PROVIDER = Advice(
    "changed", "not set, that edition takes aws_incident_manager, this one incident_io: set it"
)


def review(file: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, Advice]]:
    """Every key of the file, then every variable that the Go edition alone reads. Raises `ConfigError`."""
    document = read_document(file)
    yield from _keys(document, ())
    redis = document.get("redis")
    said = {"tls", "insecure_skip_verify"} & redis.keys() if isinstance(redis, dict) else {"no block"}
    if not said and not environ.get("REDIS_TLS"):
        yield "redis.tls", _TLS
    oncall = document.get("oncall")
    if isinstance(oncall, dict) and "provider" not in oncall and not environ.get("ONCALL_PROVIDER"):
        yield "oncall.provider", _PROVIDER
    known = OWN_VARIABLES | frozenset(_references(document))
    yield from go_variables(environ, known)


def _keys(block: Mapping[Any, Any], path: Key) -> Iterator[tuple[str, Advice]]:
    for name, value in block.items():
        key = (*path, str(name))
        shown = ".".join(key)
        if rule_path(key) in SETTINGS or key[:-1] in ALTERNATES or key[:-1] in TEXTS:
            if isinstance(value, dict):
                yield from _keys(value, key)
            else:
                yield shown, _BRACES if _braces_are_missing(value) else _KEPT
        elif advice := gone(key):
            # Which file it is that must be written anew.
            which = f" ({value[:LONGEST_PATH]})" if isinstance(value, str) and name == "template_path" else ""
            yield f"{shown}{which}", advice
        else:
            yield shown, _UNKNOWN


def _braces_are_missing(value: object) -> bool:
    return isinstance(value, str) and WITHOUT_BRACES.search(value) is not None


def _references(value: object, path: Key = ()) -> Iterator[str]:
    """The variables that parts refer to which this edition has too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            key = (*path, str(name))
            if rule_path(key) in SETTINGS or not gone(key):
                yield from _references(inner, key)
    elif isinstance(value, str):
        yield from variables(value)
