"""Story: more webhooks come than can be taken."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.stories.stack import Stack, wait_until

SENDERS = 400


def test_webhooks_are_refused_early_and_people_are_not(own: Callable[..., Stack]) -> None:
    stack = own()
    link = stack.report(3600)["ack_url"]
    refused: list[requests.Response] = []
    over = threading.Event()

    def send(_: int) -> None:
        while not over.is_set():
            answer = requests.post(
                f"{stack.base}/api/incidents?oncall_enable=false", json={"title": "Disk full"}, timeout=60
            )
            if "More webhooks come" in answer.text:
                refused.append(answer)

    assert stack.redis.process is not None
    with ThreadPoolExecutor(SENDERS) as senders:
        try:
            # Each webhook has a thread for two seconds.
            os.kill(stack.redis.process.pid, signal.SIGSTOP)
            for number in range(SENDERS):
                senders.submit(send, number)
            wait_until(lambda: len(refused) > SENDERS // 10, "webhooks are refused")
            took = []
            for _ in range(5):
                healthy = requests.get(f"{stack.base}/healthz", timeout=60)
                assert healthy.status_code == 200
                took.append(healthy.elapsed.total_seconds())
                assert "More webhooks come" not in requests.get(link, timeout=60).text
            # It never waits for a webhook's thread; one of five may have waited for the machine.
            assert min(took) < 5
            os.kill(stack.redis.process.pid, signal.SIGCONT)
            # While the flood goes on.
            assert requests.post(link, timeout=60).json()["status"] == "acknowledged"
        finally:
            os.kill(stack.redis.process.pid, signal.SIGCONT)
            over.set()
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["Retry-After"] for answer in refused} == {"5"}
    assert stack.post({"title": "Disk full"}).status_code == 201
    wait_until(lambda: counted(stack) == len(refused), "every process has said how many it refused")


def counted(stack: Stack) -> int:
    """What `/metrics` says."""
    lines = requests.get(f"{stack.base}/metrics", timeout=60).text.splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith("versus_webhooks_refused_total ")]
    return int(float(value))
