"""The log's way out: nobody waits for it, no line is lost while it is read, and lost ones are counted."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.log_queue import FLUSH_SECONDS, MOST_BYTES, PAUSE, LogQueue
from local.processes import ROOT
from tests.stories.stack import wait_until

LINE = "x" * 200


class Pipe:
    """A pipe with a queue before it."""

    def __init__(self) -> None:
        read_end, self.write_end = os.pipe()
        self.reader = os.fdopen(read_end)
        fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, 4096)
        self.queue = LogQueue(
            self.write_end, logging.Formatter("%(message)s %(lines)s", defaults={"lines": ""})
        )

    def log(self, text: str) -> None:
        self.queue.handle(logging.LogRecord("test", logging.INFO, "", 0, text, None, None))

    def read_all(self) -> list[str]:
        """All lines until the write end is closed."""
        with self.reader:
            return self.reader.read().splitlines()

    def read_in_the_background(self) -> Callable[[], list[str]]:
        """Read from now on; the function returned ends that, and returns all lines."""
        lines: list[str] = []
        thread = threading.Thread(target=lambda: lines.extend(self.read_all()))
        thread.start()

        def end() -> list[str]:
            self.queue.close()
            os.close(self.write_end)
            thread.join(10)
            assert not thread.is_alive()
            return lines

        return end


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    # A write that still waits fails now.
    pipe.reader.close()
    pipe.queue.close()


def counted(lines: list[str]) -> tuple[list[str], int]:
    """The lines that are not the queue's own, and how many it says were dropped."""
    reports = [int(found[1]) for line in lines if (found := re.match(r"log_lines_dropped (\d+)", line))]
    return [line.strip() for line in lines if not line.startswith("log_lines_dropped")], sum(reports)


def test_every_line_gets_out_in_its_order(pipe: Pipe) -> None:
    end = pipe.read_in_the_background()
    expected = [f"{number} {'y' * (number % 5000)}." for number in range(2000)]
    for line in expected:
        pipe.log(line)
    wait_until(lambda: pipe.queue.waiting == 0, "all is written")
    assert counted(end()) == (expected, 0)


def test_nobody_waits_for_a_pipe_that_nobody_reads_and_what_is_dropped_is_counted(pipe: Pipe) -> None:
    began = time.monotonic()
    logged = 3 * MOST_BYTES // len(LINE)
    for number in range(logged):
        pipe.log(f"{number} {LINE}")
    assert time.monotonic() - began < 60
    assert pipe.queue.waiting < MOST_BYTES + 2 * len(LINE)
    end = pipe.read_in_the_background()
    wait_until(lambda: pipe.queue.waiting == pipe.queue.dropped == 0, "all that is left is written")
    lines, dropped = counted(end())
    assert lines == [f"{number} {LINE}" for number in range(len(lines))]
    assert dropped == logged - len(lines) > logged / 2
    assert pipe.queue.take_dropped() == dropped
    assert pipe.queue.take_dropped() == 0


def test_lines_after_the_dropped_ones_come_after_their_number(pipe: Pipe) -> None:
    for _ in range(2 * MOST_BYTES // len(LINE)):
        pipe.log(LINE)
    end = pipe.read_in_the_background()
    wait_until(lambda: pipe.queue.waiting == pipe.queue.dropped == 0, "all that is left is written")
    pipe.log("the next")
    lines = end()
    assert lines[-1].strip() == "the next"
    assert lines[-2].startswith("log_lines_dropped")


def test_the_end_waits_for_a_pipe_that_nobody_reads_for_a_second(pipe: Pipe) -> None:
    for _ in range(1000):
        pipe.log(LINE)
    began = time.monotonic()
    pipe.queue.close()
    # It would wait for ever, otherwise.
    assert time.monotonic() - began < FLUSH_SECONDS + 10


def test_a_reader_that_is_gone_costs_the_lines_alone(pipe: Pipe) -> None:
    pipe.reader.close()
    pipe.log("to nobody")
    pipe.log("to nobody")
    wait_until(lambda: pipe.queue.dropped == 2, "it is counted")
    took = []
    for _ in range(3):
        began = time.monotonic()
        pipe.log("to nobody")
        took.append(time.monotonic() - began)
    assert min(took) < PAUSE / 2


def test_a_pipe_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.write_end, False)
    for number in range(200):
        pipe.log(f"{number} {LINE}")
    end = pipe.read_in_the_background()
    wait_until(lambda: pipe.queue.waiting == 0, "all is written")
    assert counted(end()) == ([f"{number} {LINE}" for number in range(200)], 0)


def test_a_line_that_can_not_be_made_is_named(pipe: Pipe) -> None:
    end = pipe.read_in_the_background()
    pipe.queue.handle(logging.LogRecord("library", logging.INFO, "", 0, "%d", ("no number",), None))
    pipe.log("the next")
    assert [line.strip() for line in end()] == ["log_line_failed", "the next"]


FORKS = """
import logging, os, threading
from app import telemetry
telemetry.configure([])
log = logging.getLogger("test")
log.info("parent before")
for number in range(20):
    # Some thread logs at the moment of each fork.
    loud = threading.Thread(target=lambda: [log.info("loud") for _ in range(200)])
    loud.start()
    if os.fork() == 0:
        log.info("child %s", number)
        logging.shutdown()
        os._exit(0)
    loud.join()
for number in range(20):
    os.wait()
log.info("parent after")
"""


def test_a_process_that_forks_loses_and_repeats_no_line() -> None:
    # From 3.12 on Python warns of a fork beside threads, which is what is tried here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    said = re.findall(r'event=(\w+|"[^"]+")', ended.stderr)
    assert said.count("loud") == 20 * 200
    assert sorted(one for one in said if one != "loud") == sorted(
        ['"parent before"', '"parent after"', *(f'"child {number}"' for number in range(20))]
    )


ENDS = """
import sys, threading, time, warnings
from app import telemetry
telemetry.configure(["planted-4711"])
warnings.warn("warned of planted-4711")
def fail():
    raise ValueError("planted-4711")
thread = threading.Thread(target=fail, name="failing")
thread.start()
thread.join()
telemetry.log.info("the last line")
"""


def test_what_python_says_is_logged_and_the_last_line_is_written() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    warned, failed, last = ended.stderr.splitlines()
    assert "logger=py.warnings" in warned
    assert "event=thread_ended" in failed
    assert "thread=failing" in failed
    assert 'event="the last line"' in last
    assert "planted-4711" not in ended.stderr


STUCK = """
import os, sys
from app import telemetry
telemetry.configure([])
for number in range(20000):
    telemetry.log.info("a line that nobody reads", number=number)
os.write(1, b"logged")
sys.exit(3)
"""


def test_a_process_whose_log_nobody_reads_ends_when_it_is_asked_to() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"logged"
        assert process.wait(FLUSH_SECONDS + 10) == 3
