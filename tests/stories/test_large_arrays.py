"""Story: arrays of 5,000 incidents come all at once, from everywhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import requests

from tests.stories.stack import POLL, Stack

ARRAYS = 48
ELEMENTS = 5000
MOST_MIB = 256
ENOUGH = 16
"""Stored: from then on no more memory is needed, as all that were sent at once have been read."""
# Two processes take them one after the other; a busy machine needs its time.
DEADLINE = 300.0


def peaks(stack: Stack) -> list[float]:
    """MiB of memory that each web process has had at the most."""
    children = psutil.Process(stack.web.pid).children()
    status = [Path(f"/proc/{child.pid}/status").read_text() for child in children]
    return [int(found[1]) / 1024 for text in status if (found := re.search(r"VmHWM:\s+(\d+) kB", text))]


def test_no_web_process_needs_more_than_256_mib(own: Callable[..., Stack]) -> None:
    stack = own()
    body = json.dumps(
        [{"title": f"Disk {n} full", "host": f"host-{n}", "severity": "low"} for n in range(ELEMENTS)]
    )
    until = time.monotonic() + DEADLINE

    stored: list[int] = []

    def send(number: int) -> set[int]:
        """The statuses of one sender, which repeats what was answered with 503 until enough are stored."""
        statuses: set[int] = set()
        while 201 not in statuses and len(stored) < ENOUGH and time.monotonic() < until:
            answer = requests.post(
                f"{stack.base}/api/incidents?oncall_enable=false", data=body, timeout=DEADLINE
            )
            statuses.add(answer.status_code)
            stored.extend([number] if answer.status_code == 201 else [])
            time.sleep(0 if answer.status_code == 201 else 10 * POLL)  # poll
        return statuses

    with ThreadPoolExecutor(ARRAYS) as senders:
        answered = list(senders.map(send, range(ARRAYS)))
    assert len(stored) >= ENOUGH
    assert all(statuses <= {201, 503} for statuses in answered)
    assert len(peaks(stack)) == 2
    assert max(peaks(stack)) < MOST_MIB
    # Small ones do not wait for large ones.
    assert stack.post({"title": "Disk full"}).status_code == 201
