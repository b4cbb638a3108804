"""Tries one mutation on a copy of the repository: runs tests or chaos there, and says what came of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.mutation import Mutation

ROOT = Path(__file__).parents[2]
CHAOS_SECONDS = 45
SETTLE_SECONDS = 60
# What a mutation makes hang is not caught: a test has to say what is wrong.
TESTS_WITHIN = 300.0
WHOLE_WITHIN = 1_800.0
WHOLE = ("-n", "3", "--dist", "loadfile")
CHAOS_WITHIN = 600.0
ENDED_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether something noticed: True, False, or None when it could not be told."""

    noticed: bool | None
    what: str
    """The test or the rule that failed; else what happened instead."""


@contextmanager
def copied(mutation: Mutation | None = None) -> Iterator[Path]:
    """A copy of all that git tracks or may, as it is in the working tree, with the mutation in it.

    Each has a folder of its own, so that no compiled file of another is taken for its own.
    """
    with tempfile.TemporaryDirectory(prefix="versus-mutation-") as name:
        folder = Path(name)
        list_files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        tracked = subprocess.run(list_files, cwd=ROOT, check=True, capture_output=True, text=True)
        for path in filter(None, tracked.stdout.split("\0")):
            if (ROOT / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, folder / path)
        if mutation is not None:
            file = folder / mutation.file
            file.write_text(mutation.mutated(file.read_text()))
        yield folder


def run_tests(folder: Path, selection: Sequence[str], *, whole: bool = False) -> Finding:
    """Run tests until the first one fails; `whole`: many, several at a time."""
    arguments = ["-m", "pytest", "-x", "-q", "-rf", "-p", "no:cacheprovider"]
    arguments += ["--basetemp", str(folder / "tmp"), *(WHOLE if whole else ()), *selection]
    code, output = _python(folder, arguments, WHOLE_WITHIN if whole else TESTS_WITHIN)
    failed = re.search(r"^FAILED (.+?)(?: - |$)", output, re.MULTILINE)
    if code == 0:
        return Finding(False, "no test")
    # An error while tests are collected or set up says nothing about what they would have said.
    if code == 1 and failed is not None:
        return Finding(True, failed[1])
    return Finding(None, f"pytest ended with {code}:\n{output[-2000:]}")


def run_chaos(folder: Path, seed: int, rule: str | None = None) -> Finding:
    """One chaos run: is this rule broken? Without one: is any?"""
    record = folder / "chaos.json"
    arguments = ["-m", "tests.chaos", "--seed", str(seed), "--seconds", str(CHAOS_SECONDS)]
    arguments += ["--settle", str(SETTLE_SECONDS), "--record", str(record), "--folder", str(folder / "chaos")]
    code, output = _python(folder, arguments, CHAOS_WITHIN)
    if code not in (0, 1) or not record.exists():
        return Finding(None, f"chaos ended with {code}:\n{output[-2000:]}")
    broken = json.loads(record.read_text())["violations"]
    stated = f"chaos {seed}: {', '.join(broken) or 'no rule broken'}"
    return Finding(bool(broken) if rule is None else rule in broken, stated)


def _python(folder: Path, arguments: Sequence[str], within: float) -> tuple[int, str]:
    """Run this very Python on the copy; -SIGKILL for what took too long."""
    # The package is installed editable: without this, programs would find the original.
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=within)
    except BaseException as error:
        output = _ended(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
    return process.returncode, output


def _ended(process: subprocess.Popen[str]) -> str:
    """End it as Ctrl-C does, so that it ends what it started itself."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=ENDED_WITHIN)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]
