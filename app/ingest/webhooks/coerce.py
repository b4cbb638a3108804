"""What the readers share: any value of a sender's JSON as clean text, severity, time, link, labels or key.

Senders' JSON can be anything, so these functions take any value. They answer None (or nothing) for what is
missing, of another type, blank, or a placeholder that the sender did not replace.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from app.domain.alert import LINE_LIMIT, Severity
from app.ingest.webhooks.secrets import HIDDEN, INCOMPLETE, folded, is_secret
from app.sanitize import cut, lines, one_line

Json = Mapping[str, Any]
T = TypeVar("T")

TEXT_LIMIT = 16_000
"""Characters of a description; the body that was received is kept whole elsewhere."""
LINK_LIMIT = 8_192
LABELS_LIMIT = 64
LABEL_NAME_LIMIT = 128
LABEL_VALUE_LIMIT = 1_024
LISTED_LIMIT = 4_096
"""Characters of one field in a list of them."""
INTEGER_BITS = 4_096
"""A longer integer is taken for nonsense: Python refuses to write those of several thousand digits."""

_PLACEHOLDER = re.compile(
    r"\{[A-Z][A-Z0-9_]*(?:\.[\w-]+)*\}"  # {EVENT.ID}
    r"|\{[$#][^{}]*\}"  # {$ZABBIX.URL}
    r"|\$\{[^{}]*\}"  # ${ALERT_ID}
    r"|\$[A-Z][A-Z0-9_]*\$?"  # $ALERT_ID
    r"|\{\{[^{}]*\}\}"  # {{alert.id}}
    r"|\*(?:UNKNOWN|[a-z]+[A-Z]\w*)\*"  # *UNKNOWN*, *monitorID*
)


# Objects that are the alert in a body, lists of them, and what only describes it.
_ALERTS = (
    *("alert", "incident", "event", "data", "detail", "rule", "payload", "result", "check", "monitor"),
    "problem",
)
_LISTS = ("alerts", "events", "embeds", "attachments", "sections", "items")
_DESCRIPTIONS = ("labels", "annotations", "fields", "outputfields")
_NAMED = frozenset((*_ALERTS, *_DESCRIPTIONS))
_INNER_FIELDS = 200


@dataclass(frozen=True, slots=True, repr=False)
class Inner:
    """An object one level down in a body."""

    plain: Json
    is_alert: bool
    """It is called an alert, and no other stands beside it."""
    is_only: bool = False
    """It has no name that is known, but no other object is in the body."""


# Bodies and headers hold secrets, so that a traceback must not show them.
@dataclass(frozen=True, repr=False)
class Webhook:
    """One JSON object that a sender sent."""

    body: Json
    plain: Json
    """The fields of the body by their folded names (see `folded`)."""
    headers: Mapping[str, str]
    """By name in lower case. They only help to find the sender: the body decides."""
    subject: str | None = None
    """What the envelope around the body says it is about."""
    published: datetime | None = None
    """When it was put into the envelope."""

    @staticmethod
    def of(body: Json, headers: Mapping[str, str]) -> Webhook:
        return Webhook(body, _plain(body), {name.lower(): value for name, value in headers.items()})

    @property
    def given_key(self) -> str | None:
        """The key that the user gives, which stands above the sender's own."""
        return key(self.plain.get("deduplicationkey"))

    @cached_property
    def inner(self) -> tuple[Inner, ...]:
        """Where what is not at the top is looked for, in this order."""
        objects = [name for name, value in self.body.items() if isinstance(value, dict)]
        only = objects[0] if len(objects) == 1 and folded(objects[0]) not in _NAMED else None
        found = [] if only is None else [Inner(_plain(self.body[only], _INNER_FIELDS), False, is_only=True)]
        of_names = ((self.plain.get(name), name) for name in (*_ALERTS, *_LISTS, *_DESCRIPTIONS))
        return (*found, *(inner for value, name in of_names if value and (inner := _inner(value, name))))


def _inner(value: object, name: str) -> Inner | None:
    if name in _DESCRIPTIONS:
        flat = value if isinstance(value, dict) else labels(value)
        return Inner(_plain(flat, _INNER_FIELDS), False)
    if name in _LISTS and isinstance(value, list):
        one = value[0]
        return Inner(_plain(one, _INNER_FIELDS), len(value) == 1) if isinstance(one, dict) else None
    return Inner(_plain(value, _INNER_FIELDS), True) if isinstance(value, dict) and name in _ALERTS else None


def _plain(body: Json, most: int | None = None) -> Json:
    """The fields of an object by their folded names."""
    plain: dict[str, Any] = {}
    for name, value in islice(body.items(), most):
        if plain.get(key := folded(name)) is None:
            plain[key] = value
    return plain


def first(read: Callable[[object], T | None], body: Json, names: Iterable[str]) -> T | None:
    """What `read` makes of the first of these fields of which it makes anything."""
    for name in names:
        if (found := read(body.get(name))) is not None:
            return found
    for name in names:
        value = body.get(name)
        if value is not None and (found := read(value)) is not None:
            return found
    return None


def at(body: object, steps: Iterable[str]) -> object:
    """What stands in a body behind these steps, each the name of a field or the position in a list."""
    for step in steps:
        if isinstance(body, dict):
            body = body.get(step)
        elif isinstance(body, list) and step.isdecimal() and int(step) < len(body):
            body = body[int(step)]
        else:
            return None
    return body


def parsed(value: object) -> object:
    """The object or list that a text holds as JSON; None for anything else."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return None


# -- text ------------------------------------------------------------------------------------------------


def text(value: object, limit: int = TEXT_LIMIT) -> str | None:
    """Text of several lines, without control characters, cut with `…`."""
    said = _said(value)
    return None if said is None else lines(said, limit) or None


def line(value: object, limit: int = LINE_LIMIT) -> str | None:
    """Text of one line, cut with `…`; line breaks and control characters become spaces."""
    said = _said(value)
    return None if said is None else one_line(said, limit) or None


def first_line(value: object) -> str | None:
    """The first line of a text that is not blank."""
    said = _said(value)
    if said is None:
        return None
    return next(filter(None, map(line, cut(said, 4 * LINE_LIMIT).splitlines())), None)


def _said(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    said = value.strip()
    return None if not said or (said[0] in "{$*" and _PLACEHOLDER.fullmatch(said)) else said


# -- severity, time, link --------------------------------------------------------------------------------

_SEVERITY_WORDS: dict[Severity, str] = {
    "critical": "critical crit fatal emergency emerg panic alert disaster page blocker "
    "p0 p1 sev0 sev1 s1 down",
    "high": "high error err major severe urgent p2 sev2 s2",
    "medium": "medium moderate warning warn average p3 sev3 s3",
    "low": "low minor notice p4 sev4 s4",
    "info": "info information informational notification debug trace verbose none ok p5 sev5",
}
_SEVERITIES = {word: severity for severity, words in _SEVERITY_WORDS.items() for word in words.split()}


def severity_of(value: object) -> Severity | None:
    """The severity that a word means; None for a word that nobody knows. `SEV-1` and `Sev 1` are `sev1`."""
    word = line(value)
    return None if word is None else _SEVERITIES.get(folded(word).replace(" ", ""))


# Epochs by their size: in seconds, 1e11 is the year 5138.
_EPOCH_UNITS = ((1e17, 1_000_000_000), (1e14, 1_000_000), (1e11, 1_000), (1e8, 1))
_EPOCH_TEXT = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_ZONE = re.compile(r"\s+(?=[+-][0-9]{2}:?[0-9]{2}$|Z$)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(value: object) -> datetime | None:
    """A time in UTC, from RFC 3339 or from an epoch in s, ms, µs or ns (by its size); zero times are None.

    A time without zone is UTC. A number below 1e8 (the year 1973) is a duration rather than a time: None.
    """
    try:
        found = _moment(value)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found is not None and found > _EPOCH else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        unit = next((unit for least, unit in _EPOCH_UNITS if value >= least), None)
        return None if unit is None else datetime.fromtimestamp(value / unit, UTC)
    said = line(value, 64)
    if said is None:
        return None
    if _EPOCH_TEXT.fullmatch(said):
        return _moment(float(said) if "." in said else int(said))
    iso = _ZONE.sub("", said.upper().replace("UTC", "Z").replace("GMT", "Z"))
    read = datetime.fromisoformat(iso)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


_WEB_ADDRESS = re.compile(
    r"https?://[^\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+", re.IGNORECASE
)


def link(value: object) -> str | None:
    """An address of http or https, with a host; spaces in it are escaped."""
    said = _said(value)
    if said is None or len(said) > LINK_LIMIT:
        return None
    # A secret that was taken out of an address must not keep it from leading somewhere.
    address = said.replace(f"://{HIDDEN}@", "://").replace(HIDDEN, "hidden").replace(" ", "%20")
    if not _WEB_ADDRESS.fullmatch(address):
        return None
    try:
        return address if urlsplit(address).hostname else None
    except ValueError:
        return None


# -- labels ----------------------------------------------------------------------------------------------


def labels(*sources: object, value_limit: int = LABEL_VALUE_LIMIT) -> dict[str, str]:
    """Flat labels of several sources, of which the first to name a label wins.

    A source is an object, a comma list of `key:value`, or a list of such texts, of pairs, or of objects with
    `name` (`tag`, `key`) and `value`. Numbers and booleans become their JSON text; lists, objects and secrets
    are left out.
    """
    found: dict[str, str] = {}
    for source in sources:
        for name, value in _pairs(source):
            if len(found) == LABELS_LIMIT:
                return found
            words = None if name in found else text(_plain_text(value), value_limit)
            label = None if words is None or is_secret(name) else line(name, LABEL_NAME_LIMIT)
            if words is not None and label is not None:
                found.setdefault(label, words)
    return found


def _pairs(source: object) -> Iterator[tuple[str, object]]:
    if isinstance(source, str):
        source = source.split(",")
    if isinstance(source, dict):
        yield from source.items()
    elif isinstance(source, list):
        yield from filter(None, map(_pair, source))


def _pair(item: object) -> tuple[str, object] | None:
    if isinstance(item, str):
        name, colon, value = item.partition(":")
        return (name, value) if colon else None
    if isinstance(item, dict):
        label = first(line, item, ("name", "tag", "key"))
        return None if label is None else (label, item.get("value"))
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str):
        return item[0], item[1]
    return None


def listed(source: Json) -> str:
    """The flat fields of an object, a bullet each, Markdown."""
    flat = labels(source, value_limit=LISTED_LIMIT)
    return "\n".join(f"- {name}: {value}".replace("\n", "\n  ") for name, value in flat.items())


def mapping(value: object) -> Json:
    """A JSON object; one without fields for anything else."""
    return value if isinstance(value, dict) else {}


def _plain_text(value: object) -> str | None:
    if isinstance(value, bool):
        return json.dumps(value)
    return value if isinstance(value, str) else _number_text(value)


def _number_text(value: object) -> str | None:
    if isinstance(value, int) and value.bit_length() <= INTEGER_BITS:
        return str(value)
    return repr(value) if isinstance(value, float) and math.isfinite(value) else None


# -- identity --------------------------------------------------------------------------------------------


def key(value: object) -> str | None:
    """A sender's key for a problem, whole: a string that is not blank, or a number (4711 equals "4711")."""
    if isinstance(value, str):
        return None if _said(value) is None else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if isinstance(value, bool) else _number_text(value)


def identity(webhook: Webhook, *own: tuple[str, str | None]) -> str | None:
    """The digest of the first key that is there: a `deduplication_key` at the top, then the sender's own.

    `own`: pairs of namespace and key. A key is hashed whole, however long it is, and together with its
    namespace, so that keys of different senders never meet.
    """
    for namespace, found in (("deduplication_key", webhook.given_key), *own):
        if found is not None:
            digest = sha256(f"{namespace}\0{found}".encode("utf-8", "surrogatepass")).hexdigest()
            return digest + INCOMPLETE if HIDDEN in found else digest
    return None
