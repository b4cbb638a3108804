"""Broken JSON made whole again: what templates send that do not escape a quote or a backslash.

It guesses, so it is held to small bodies, to one at a time in a process, and to what is broken inside: a body
that breaks off says less than its sender meant. What comes of it can only fire (`app/web/api/incidents.py`).
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

import json_repair

MAX_BYTES = 16_384
MAX_DEPTH = 50
SECONDS = 2.0
"""How long a body waits for its turn; one takes 0.1 s at most."""

_turn = threading.Lock()


def repaired(text: str) -> str | None:
    """Valid JSON of the object, or list of objects, that the text may have meant; None if there is none."""
    if not _is_whole(text) or not _turn.acquire(timeout=SECONDS):
        return None
    try:
        # The library is made for texts of language models: whatever it raises, the text stays broken.
        with suppress(Exception):
            found: Any = json_repair.repair_json(text, return_objects=True, skip_json_loads=True)
            elements = found if isinstance(found, list) else [found]
            if elements and all(isinstance(element, dict) and element for element in elements):
                return json.dumps(found)
        return None
    finally:
        _turn.release()


def _is_whole(text: str) -> bool:
    """Whether it begins and ends as JSON does, with no fewer brackets closed than opened."""
    said = text.strip()
    if len(said.encode()) > MAX_BYTES or (said[:1], said[-1:]) not in (("{", "}"), ("[", "]")):
        return False
    depth = deepest = 0
    for letter in said:
        depth += (letter in "{[") - (letter in "}]")
        deepest = max(deepest, depth)
    return depth <= 0 and deepest <= MAX_DEPTH
