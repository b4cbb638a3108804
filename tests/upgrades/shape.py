"""The fields that documents in Redis have, and fields that only a newer version would know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from app.domain.alert import End
from app.domain.delivery import Delivery
from app.domain.incident import Incident
from app.domain.silence import Silence

NEWER = {"of_a_newer_version": {"deep": [1, "ü", None]}}


def fields() -> dict[str, list[str]]:
    """Of everything that is stored as a document, the names of its fields."""
    found: dict[str, list[str]] = {}
    for kind in (Incident, Delivery, Silence, End):
        schema = TypeAdapter(kind).json_schema()
        for shape in (schema, *schema.get("$defs", {}).values()):
            if "properties" in shape:
                found[shape["title"]] = sorted(shape["properties"])
    return dict(sorted(found.items()))


def objects(doc: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All that has fields in the document of an incident: the name of its place, and itself."""
    yield "incident", doc
    for name in ("members", "reopening"):
        if name in doc:
            yield name, doc[name]
    for name in ("subscriptions", "changes", "timeline"):
        yield from ((name, one) for one in doc.get(name, []))
    for pager, delivery in doc["pagers"].items():
        yield pager, delivery
        yield from (("log", one) for one in delivery.get("log", []))
        if "claim" in delivery:
            yield "claim", delivery["claim"]


def made_newer(doc: dict[str, Any]) -> dict[str, Any]:
    """As a newer version writes it: with a field more in every place."""
    for _, one in objects(doc):
        one.update(NEWER)
    return doc


def lost(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where the newer fields of the one document are missing in the other.

    A line of a list, and a claim, keep theirs for as long as they are there.
    """

    def plain(one: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in one.items() if name not in NEWER}

    places = dict(objects(was))
    lines = [(name, plain(one)) for name, one in objects(was)]
    whole = {"incident", "members", "reopening", *was["pagers"]}
    return [
        name
        for name, one in objects(now)
        if not NEWER.items() <= one.items()
        and ((name in whole and name in places) or (name not in whole and (name, one) in lines))
    ]
