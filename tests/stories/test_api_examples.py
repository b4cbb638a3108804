"""docs/api.md: every example in it is run against a running service, and answered as it says."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
EXAMPLE = re.compile(r"```sh\n(curl .*)\n```\n\n```json\n(\d{3}) (.*)\n```")
MORE = "…"


def curl(command: str) -> requests.Response:
    """What `curl` would do; an option that is not understood is an error."""
    parser = argparse.ArgumentParser(prog="curl", exit_on_error=False)
    parser.add_argument("-X", dest="method")
    parser.add_argument("-d", dest="data")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("url")
    asked = parser.parse_args(shlex.split(command)[1:])
    headers = dict(header.split(": ", 1) for header in asked.headers)
    data = None if asked.data is None else asked.data.encode()
    if data is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    method = asked.method or ("GET" if data is None else "POST")
    return requests.request(method, asked.url, data=data, headers=headers, timeout=60)


def agree(shown: Any, real: Any, where: str = "") -> None:
    """What is shown is there, word for word, but for what is left out, and for times."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        assert set(shown) - {MORE} <= set(real), where
        assert MORE in shown or set(shown) == set(real), where
        for name in set(shown) - {MORE}:
            agree(shown[name], real[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        for one, other in zip(shown, real, strict=False):
            agree(one, other, f"{where}[]")
        assert len(real) >= len(shown), where
    elif isinstance(shown, str) and (MORE in shown or re.search(r"\d{4}-\d\d-\d\dT", shown)):
        assert isinstance(real, str), where
        assert real, where
    else:
        assert shown == real, where


def test_every_example_is_answered_as_it_says(own: Callable[..., Stack]) -> None:
    stack = own()
    examples = EXAMPLE.findall(PAGE)
    assert len(examples) == PAGE.count("```sh\n") == PAGE.count("```json\n") >= 15
    incident_id = ""
    for command, status, text in examples:
        for name, value in (("VERSUS", stack.base), ("GATEWAY_SECRET", GATEWAY_SECRET), ("ID", incident_id)):
            command = command.replace(f"${name}", value)
        answer = curl(command)
        assert answer.status_code == int(status), (command, answer.text)
        agree(json.loads(text), answer.json(), command)
        incident_id = incident_id or answer.json()["incident"]["id"]
