"""Sample bodies, a file each: a request (`headers`; `body`, `raw` or `raw_base64`) and what to `expect`."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from app.domain.alert import Alert
from app.ingest.webhooks import read
from app.web.http.body import read_body

FILES = sorted((Path(__file__).parent / "payloads").glob("*.json"))

Sample = dict[str, Any]

SAMPLES: dict[str, Sample] = {file.stem: json.loads(file.read_text("utf-8")) for file in FILES}

REJECTED = [name for name, sample in SAMPLES.items() if sample["expect"].get("status") == "rejected"]
ACCEPTED = [name for name in SAMPLES if name not in REJECTED]
ARRAYS = [name for name in ACCEPTED if "incidents" in SAMPLES[name]["expect"]]
OBJECTS = [name for name in ACCEPTED if name not in ARRAYS]


def content(name: str) -> bytes:
    """The bytes that a sample sends."""
    sample = SAMPLES[name]
    if "raw_base64" in sample:
        return b64decode(sample["raw_base64"])
    text: str = sample["raw"] if "raw" in sample else json.dumps(sample["body"], ensure_ascii=False)
    return text.encode()


def elements(name: str) -> list[dict[str, Any]]:
    """The objects in a sample's body, each of which is an alert."""
    headers = SAMPLES[name]["headers"]
    return read_body(
        content(name),
        content_type=headers.get("Content-Type", ""),
        content_encoding=headers.get("Content-Encoding", ""),
    ).elements


def alert_of(name: str) -> Alert:
    """What is read from a sample whose body is one object."""
    [element] = elements(name)
    return read(element, SAMPLES[name]["headers"])
