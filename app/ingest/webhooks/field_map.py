"""What is the same for all senders that differ in names alone: a row says where in a body everything stands.

A place is a path, `alert.details.service` or, in the first of a list, `targets.0.name`; a function that finds
the value itself; or several of them: the `first_of` some, `all_of` them, a `join` of those that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import chain, product
from json.encoder import encode_basestring_ascii
from operator import methodcaller
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


Part = str | Callable[[Json], object]
Getter = Callable[[Json], object]
Condition = tuple[tuple[str, ...], str, bool]
"""Steps, the word that must stand there ("" for any value), and whether it only begins so."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Several places: choices, each of some parts, and whether it needs all of them."""

    choices: tuple[tuple[tuple[Part, ...], bool], ...]

    @cached_property
    def getters(self) -> tuple[tuple[tuple[Getter, ...], bool], ...]:
        """What takes the parts of each choice out of a body."""
        return tuple((tuple(map(_getter, parts)), whole) for parts, whole in self.choices)

    @cached_property
    def conditions(self) -> tuple[tuple[Condition, ...], ...]:
        """The parts of each choice as conditions."""
        return tuple(tuple(map(_condition, parts)) for parts, _ in self.choices)


Place = Part | Parts
"""Where in a body something stands, see above."""

EffectOf = Callable[[Json], Effect | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """One form of one sender's bodies; `read` is its reader."""

    source: str
    kind: str = ""
    """Keeps the keys of this form apart from those of the sender's other forms."""
    matches: str | Parts | Callable[[Webhook], bool]
    """Fields that are there; with `name=value` of that value, with `name=value*` of one that begins so."""
    any_of: tuple[str, ...] = ("",)
    """Where `matches` is a function: fields of which these bodies have one at least."""
    effect: EffectOf
    """`by` a word or `always` the same; where it finds nothing, the general rules look."""
    title: Place = ""
    note: Place = ""
    """The title of a note, which is all that the timeline of an incident says of it."""
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
    said_at: Place = ""
    """When the sender said this, where that puts its messages in order."""
    once: bool = False
    """The key names one occurrence: what is over never fires again under it."""
    labels: Place = ""
    host: Place = ""
    """What becomes the label `host`."""
    without: str = ""
    """Fields of an `Alert` that these bodies never have, though one of theirs has a usual name for it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of which a body has at least one if it is recognised; an empty name if it need not."""
        if callable(self.matches):
            return self.any_of
        return tuple(conditions[0][0][0] for conditions in _parts(self.matches).conditions)

    def read(self, webhook: Webhook) -> Alert | None:
        """The alert, if the body has this form; what is not in its place, the general rules look for."""
        body = webhook.body
        if not (self.matches(webhook) if callable(self.matches) else matches(body, self.matches)):
            return None
        effect = self.effect(body) or generic.effect(webhook)
        title = _title(body, self.note) if effect is Effect.NOTE else None
        labels = coerce.labels(
            {"host": first(coerce.line, body, self.host)}, *found(_as_it_is, body, self.labels)
        )
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
            said_at=first(coerce.moment, body, self.said_at),
            once=self.once and webhook.given_key is None,
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
        keys = found(coerce.key, body, self.identity)
        if keys and self.apart and matches(body, self.apart):
            keys.append(self.apart)
        return f"[{', '.join(map(encode_basestring_ascii, keys))}]" if keys else None


def by(
    place: Place,
    *,
    firing: str = "",
    resolved: str = "",
    acknowledged: str = "",
    unacknowledged: str = "",
    note: str = "",
    others: Effect = Effect.FIRING,
) -> EffectOf:
    """The effect that a word stands for: what these words mean (in lower case), and what all others do."""
    words_of = {
        Effect.FIRING: firing,
        Effect.RESOLVED: resolved,
        Effect.ACKNOWLEDGED: acknowledged,
        Effect.UNACKNOWLEDGED: unacknowledged,
        Effect.NOTE: note,
    }
    meant = {word: effect for effect, words in words_of.items() for word in words.split()}

    def effect(body: Json) -> Effect | None:
        word = first(_word, body, place)
        return None if word is None else meant.get(word, others)

    return effect


def always(effect: Effect) -> EffectOf:
    """Whatever the body says."""
    return lambda _: effect


# -- places ----------------------------------------------------------------------------------------------


def first_of(*places: Place) -> Parts:
    """The first of these that is there."""
    return Parts(tuple(choice for place in places for choice in _parts(place).choices))


def all_of(*places: Place) -> Parts:
    """All of these; nothing, where one is missing."""
    return Parts(tuple((parts, True) for parts in _together(places)))


def join(*places: Place) -> Parts:
    """Those of these that are there, together."""
    return Parts(tuple((parts, False) for parts in _together(places)))


def _together(places: Sequence[Place]) -> Iterator[tuple[Part, ...]]:
    choices = [[parts for parts, _ in _parts(place).choices] for place in places]
    return (tuple(chain.from_iterable(choice)) for choice in product(*choices))


def first(read: Callable[[object], T | None], body: Json, place: Place) -> T | None:
    """What `read` makes of the first value there of which it makes anything."""
    for getters, _ in _parts(place).getters:
        for get in getters:
            if (value := get(body)) is not None and (found_value := read(value)) is not None:
                return found_value
    return None


def found(read: Callable[[object], T | None], body: Json, place: Place) -> list[T]:
    """What `read` makes of the parts of the first choice that is there."""
    for getters, whole in _parts(place).getters:
        there = (value for get in getters if (value := get(body)) is not None)
        values = [value for each in there if (value := read(each)) is not None]
        if values and (not whole or len(values) == len(getters)):
            return values
    return []


def matches(body: Json, wanted: str | Parts) -> bool:
    """Whether a body has these fields, with the values that are asked for."""
    for conditions in _parts(wanted).conditions:
        for steps, word, begins in conditions:
            # Most bodies are those of other senders, which shows at once.
            if steps[0] not in body or not _holds(body, steps, word, begins):
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


def _parts(place: Place) -> Parts:
    return place if isinstance(place, Parts) else _alone(place)


@cache
def _alone(part: Part) -> Parts:
    return Parts((((part,), True),) if part else ())


def _getter(part: Part) -> Getter:
    if callable(part):
        return part
    steps = tuple(part.split("."))
    return methodcaller("get", part) if len(steps) == 1 else lambda body: coerce.at(body, steps)


def _condition(part: Part) -> Condition:
    path, _, value = str(part).partition("=")
    return tuple(path.split(".")), value.rstrip("*").lower(), value.endswith("*")


def _as_it_is(value: object) -> object:
    return value


def _word(value: object) -> str | None:
    """Text or a number to be compared, in lower case."""
    said = coerce.key(value)
    return None if said is None else said.strip().lower()


def _title(body: Json, place: Place) -> str | None:
    """One line of the parts that are there."""
    return coerce.line(": ".join(found(coerce.line, body, place)))


def _description(body: Json, place: Place) -> str | None:
    """The texts that are there, and of an object its fields, as paragraphs."""
    # Senders like to say the same twice.
    return coerce.text("\n\n".join(dict.fromkeys(found(_paragraph, body, place))))


def _paragraph(value: object) -> str | None:
    return coerce.listed(value) if isinstance(value, dict) else coerce.text(value)
