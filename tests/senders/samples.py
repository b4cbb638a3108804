"""Sample bodies, a file each: a request (`headers`, `body` or `raw`) and what to `expect` of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.alert import Alert
from app.senders import read

FILES = sorted((Path(__file__).parent / "payloads").glob("*.json"))

Sample = dict[str, Any]

SAMPLES: dict[str, Sample] = {file.stem: json.loads(file.read_text("utf-8")) for file in FILES}


def alert_of(name: str) -> Alert:
    """What is read from a sample whose body is one object."""
    sample = SAMPLES[name]
    return read(sample["body"], sample["headers"])
