"""Story: a worker is started for another queue, as `celery worker -Q` does."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local.processes import ROOT, procfile, with_our_programs
from tests.stories.stack import Stack, wait_until


class OtherQueue(Stack):
    """It can start a worker with more options than the Procfile's."""

    def start_worker(self, *options: str) -> None:
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                [*procfile()["worker"].split(), *options],
                cwd=ROOT,
                env=with_our_programs(self._environ),
                stdout=log,
                stderr=log,
            )
        self._parts.callback(worker.wait)
        self._parts.callback(worker.kill)


def test_it_says_so_and_answers_our_messages(tmp_path: Path) -> None:
    stack = OtherQueue(tmp_path, workers=0)
    try:
        stack.start_worker("-Q", "other")
        stack.ready()
        wait_until(lambda: " ready." in stack.log.read_text(), "the worker consumes")
        assert "event=wrong_queues queues=['other']" in stack.log.read_text()

        def by_a_message() -> bool:
            incident = stack.wait_for_state(stack.report(1), "escalated")
            taken_over = [
                line for line in stack.log.read_text().splitlines() if "delivered_by_sweeper" in line
            ]
            return not any(incident["id"] in line for line in taken_over)

        wait_until(by_a_message, "a message pages")
    finally:
        stack.stop()
