"""Writes that wait until Redis takes them: once each, and not without a bound."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

import pytest

from app.store import StoreUnavailable
from app.store import backlog as module
from app.store.backlog import Backlog
from tests.stories.stack import wait_until


class Redis:
    """Takes writes or not."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.works = threading.Event()

    def write(self, name: str) -> None:
        if not self.works.is_set():
            raise StoreUnavailable("away")
        self.taken.append(name)


def test_what_could_not_be_written_is_written_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    redis, backlog = Redis(), Backlog()
    for name in ("a", "b", "a"):
        backlog.add(name, lambda name=name: redis.write(name), 1)  # type: ignore[misc]
    with pytest.raises(StoreUnavailable):
        backlog.write()
    redis.works.set()
    wait_until(lambda: len(backlog) == 0, "all is written")
    assert sorted(redis.taken) == ["a", "b"]


def test_one_that_can_not_be_made_holds_up_no_other(log: io.StringIO) -> None:
    redis, backlog = Redis(), Backlog()
    redis.works.set()

    def broken() -> None:
        raise ValueError("no such field")

    backlog.add("broken", broken, 1)
    backlog.add("a", lambda: redis.write("a"), 1)
    backlog.write()
    wait_until(lambda: len(backlog) == 0, "nothing is left")
    assert "a" in redis.taken
    assert "unstored_given_up" in log.getvalue()


def test_beyond_its_bounds_the_oldest_is_forgotten_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    redis, backlog = Redis(), Backlog()
    for name in ("a", "b", "c"):
        backlog.add(name, lambda name=name: redis.write(name), module.MOST_BYTES // 2)  # type: ignore[misc]
    assert len(backlog) == 2
    assert "unstored_forgotten" in log.getvalue()
    redis.works.set()
    wait_until(lambda: len(backlog) == 0, "the rest is written")
    assert {"b", "c"} <= {*redis.taken}


def test_the_end_of_a_process_waits_until_all_is_written() -> None:
    redis, backlog = Redis(), Backlog()
    backlog.add("a", lambda: redis.write("a"), 1)
    threading.Timer(0.2, redis.works.set).start()
    backlog.finish()
    assert redis.taken == ["a"]


def test_the_end_of_a_process_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setattr(module, "FINISH_SECONDS", 0.05)
    redis, backlog = Redis(), Backlog()
    backlog.add("a", lambda: redis.write("a"), 1)
    backlog.finish()
    assert "unstored_forgotten" in log.getvalue()
    assert "count=1" in log.getvalue()
    redis.works.set()


ENDING = """
import threading
from app.store import StoreUnavailable, backlog

backlog.PAUSE = 0.01

def write():
    raise StoreUnavailable("away")

def outlive():
    threading.main_thread().join()
    # The interpreter waits for this thread, and starts none any more.
    writing.join(10)

kept = backlog.Backlog()
kept.add("a", write, 1)
writing = next(t for t in threading.enumerate() if t.name == "backlog")
threading.Thread(target=outlive).start()
"""


def test_a_process_that_ends_shows_no_traceback() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
