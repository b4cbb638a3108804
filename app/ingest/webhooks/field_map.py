"""What is the same for all senders that differ in names alone: a row says where in a body everything stands.

A place is text: `alert.details.service → alert.entity` is the first of these that is there, `orgId + ruleId`
is both of them, `targets.0.name` a field of the first in a list. What can't be said so is a function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, TypeVar

import app.ingest.webhooks.coerce as coerce
import app.ingest.webhooks.generic as generic
from app.domain.alert import Alert, Effect, Severity
from app.ingest.webhooks.coerce import Json, Webhook

T = TypeVar("T")
Found = TypeVar("Found", covariant=True)


class General(Protocol[Found]):
    """A rule of `app/ingest/webhooks/generic.py` for one field."""

    def __call__(self, webhook: Webhook, *, inner: bool) -> Found | None:
        """What it finds."""


Place = str | Callable[[Json], object]
"""Where in a body something stands, see above; a function finds the value itself."""

EffectOf = Callable[[Json], Effect | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """One form of one sender's bodies; `read` is its reader."""

    source: str
    kind: str = ""
    """Keeps the keys of this form apart from those of the sender's other forms."""
    matches: str | Callable[[Webhook], bool]
    """Fields that are there; with `name=value` of that value, with `name=value*` of one that begins so."""
    any_of: tuple[str, ...] = ("",)
    """Where `matches` is a function: fields of which these bodies have one at least."""
    effect: EffectOf
    """`by` a word or `always` the same; where it finds nothing, the general rules look."""
    title: Place = ""
    note: Place = ""
    """The title of a note, which is all that the timeline of an incident tells of it."""
    description: Place = ""
    severity: Place = ""
    severities: Mapping[str, Severity] = field(default_factory=dict)
    """What words mean with this sender alone, in lower case."""
    usual_severity: Severity | None = None
    service: Place = ""
    service_tag: bool = False
    """A label `service` comes before `service`."""
    started_at: Place = ""
    source_url: Place = ""
    identity: Place = ""
    apart: str = ""
    """Bodies with `name=value` speak of a problem of their own, though the key is the same."""
    labels: Place = ""
    host: Place = ""
    """What becomes the label `host`."""
    without: str = ""
    """Fields of an `Alert` that these bodies never tell, though one of theirs has a usual name for it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of which a body has at least one if it is recognised; an empty name if it need not."""
        if callable(self.matches):
            return self.any_of
        return tuple(parts[0][0][0] for parts in _conditions(self.matches))

    def read(self, webhook: Webhook) -> Alert | None:
        """The alert, if the body has this form; what is not in its place, the general rules look for."""
        body = webhook.body
        if not (self.matches(webhook) if callable(self.matches) else matches(body, self.matches)):
            return None
        effect = self.effect(body) or generic.effect(webhook)
        title = _title(body, self.note) if effect is Effect.NOTE else None
        labels = coerce.labels({"host": first(coerce.line, body, self.host)}, *values(body, self.labels))
        return Alert(
            title=title or _title(body, self.title) or generic.title(webhook),
            source=self.source,
            effect=effect,
            description=_description(body, self.description) or generic.description(webhook),
            severity=self._severity(body) or self._else(generic.severity, webhook, "severity"),
            service=self._service(body, labels) or self._else(generic.service, webhook, "service"),
            source_url=first(coerce.link, body, self.source_url)
            or self._else(generic.source_url, webhook, "source_url"),
            started_at=first(coerce.moment, body, self.started_at)
            or self._else(generic.started_at, webhook, "started_at"),
            labels=labels,
            identity=coerce.identity(webhook, (f"{self.source} {self.kind}".strip(), self._key(body))),
        )

    def _else(self, read: General[T], webhook: Webhook, name: str) -> T | None:
        """What the general rules find at the top: below it, other things have the usual names."""
        return None if name in self.without else read(webhook, inner=False)

    def _severity(self, body: Json) -> Severity | None:
        return first(self._severity_of, body, self.severity) or self.usual_severity

    def _severity_of(self, value: object) -> Severity | None:
        return self.severities.get(_word(value) or "") or coerce.severity_of(value)

    def _service(self, body: Json, labels: Mapping[str, str]) -> str | None:
        tag = labels.get("service") if self.service_tag else None
        return coerce.line(tag) or first(coerce.line, body, self.service)

    def _key(self, body: Json) -> str | None:
        keys = _keys(body, self.identity)
        if keys is not None and self.apart and matches(body, self.apart):
            keys.append(self.apart)
        return None if keys is None else json.dumps(keys)


def by(
    place: Place,
    *,
    firing: str = "",
    resolved: str = "",
    acknowledged: str = "",
    note: str = "",
    others: Effect = Effect.FIRING,
) -> EffectOf:
    """The effect is told by a word: what these words mean (in lower case), and what all others do."""
    words_of = {Effect.FIRING: firing, Effect.RESOLVED: resolved, Effect.ACKNOWLEDGED: acknowledged}
    meant = {
        word: effect for effect, words in {**words_of, Effect.NOTE: note}.items() for word in words.split()
    }

    def effect(body: Json) -> Effect | None:
        word = first(_word, body, place)
        return None if word is None else meant.get(word, others)

    return effect


def always(effect: Effect) -> EffectOf:
    """Whatever the body says."""
    return lambda _: effect


# -- places ----------------------------------------------------------------------------------------------


def first(read: Callable[[object], T | None], body: Json, place: Place) -> T | None:
    """What `read` makes of the first value there of which it makes anything."""
    return next((found for value in values(body, place) if (found := read(value)) is not None), None)


def values(body: Json, place: Place) -> Iterator[object]:
    """Every value that a place names."""
    if callable(place):
        yield place(body)
    else:
        for parts in _alternatives(place):
            for steps in parts:
                yield coerce.at(body, steps)


def matches(body: Json, conditions: str) -> bool:
    """Whether a body has these fields, with the values that are asked for."""
    for parts in _conditions(conditions):
        for steps, wanted, begins in parts:
            # Most bodies are those of other senders, which shows at once.
            if steps[0] not in body or not _holds(body, steps, wanted, begins):
                break
        else:
            return True
    return False


def _holds(body: Json, steps: Sequence[str], wanted: str, begins: bool) -> bool:
    value = coerce.at(body, steps)
    if not wanted:
        return value is not None
    word = _word(value) or ""
    return word.startswith(wanted) if begins else word == wanted


@cache
def _alternatives(place: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """The steps to each part of each alternative."""
    choices = place.split(" → ") if place else ()
    return tuple(tuple(tuple(part.split(".")) for part in choice.split(" + ")) for choice in choices)


@cache
def _conditions(text: str) -> tuple[tuple[tuple[tuple[str, ...], str, bool], ...], ...]:
    """Steps, the word that must stand there, and whether it only begins so."""
    return tuple(tuple(map(_condition, choice.split(" + "))) for choice in text.split(" → "))


def _condition(part: str) -> tuple[tuple[str, ...], str, bool]:
    path, _, value = part.partition("=")
    return tuple(path.split(".")), value.rstrip("*").lower(), value.endswith("*")


def _word(value: object) -> str | None:
    """Text or a number to be compared, in lower case."""
    said = coerce.key(value)
    return None if said is None else said.strip().lower()


def _title(body: Json, place: Place) -> str | None:
    """One line of the parts that are there."""
    if callable(place):
        return coerce.line(place(body))
    for parts in _alternatives(place):
        lines = [line for steps in parts if (line := coerce.line(coerce.at(body, steps)))]
        if lines:
            return coerce.line(": ".join(lines))
    return None


def _description(body: Json, place: Place) -> str | None:
    """The texts that are there, and of an object its fields, as paragraphs."""
    if callable(place):
        return _paragraph(place(body))
    for parts in _alternatives(place):
        texts = [text for steps in parts if (text := _paragraph(coerce.at(body, steps)))]
        if texts:
            # Senders like to say the same twice.
            return coerce.text("\n\n".join(dict.fromkeys(texts)))
    return None


def _paragraph(value: object) -> str | None:
    return coerce.listed(value) if isinstance(value, dict) else coerce.text(value)


def _keys(body: Json, place: Place) -> list[str] | None:
    """The keys of the first alternative of which no part is missing."""
    if callable(place):
        found = coerce.key(place(body))
        return None if found is None else [found]
    for parts in _alternatives(place):
        keys = [key for steps in parts if (key := coerce.key(coerce.at(body, steps))) is not None]
        if len(keys) == len(parts):
            return keys
    return None
