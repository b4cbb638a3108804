"""How many large webhooks are taken at a time, and what becomes of the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.web.http.concurrency import LARGE, LARGE_WAITING, ServerBusy, alone
from tests.stories.stack import wait_until


def test_large_ones_are_taken_one_after_the_other_and_small_ones_meanwhile() -> None:
    taken: list[int] = []
    lock, most, under_way = threading.Lock(), [0], [0]

    def take(number: int) -> None:
        with alone(LARGE):
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            taken.append(number)
            with lock:
                under_way[0] -= 1

    with ThreadPoolExecutor(LARGE_WAITING + 1) as pool:
        with alone(LARGE):
            sent = [pool.submit(take, number) for number in range(LARGE_WAITING + 1)]
            with alone(LARGE - 1):
                assert taken == []
            wait_until(lambda: any(one.done() for one in sent), "one of them finds no place to wait")
            [refused] = [one for one in sent if one.done()]
            with pytest.raises(ServerBusy, match="send it again in a moment"):
                refused.result()
        assert all(one.result(60) is None for one in sent if one is not refused)
    assert len(taken) == LARGE_WAITING
    assert most == [1]
