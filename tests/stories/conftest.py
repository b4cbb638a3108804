"""What stories need: a service that the peaceful ones share, one for each that breaks things, a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.stories.stack import Stack


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running service with one worker, for stories that break nothing."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield stack.ready()
    finally:
        stack.stop()


@pytest.fixture
def stack(shared: Stack) -> Stack:
    """The shared service, with incident.io well again."""
    shared.simulator.clear()
    return shared


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Makes a service of the test's own, that it may break; the parameters are those of `Stack`."""
    stacks: list[Stack] = []

    def make(**parameters: Any) -> Stack:
        stacks.append(Stack(tmp_path, **parameters))
        return stacks[-1].ready()

    yield make
    for one in stacks:
        one.stop()


QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser."""
    found = shutil.which("chromium")
    if found is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
        pytest.skip("there is no chromium")
    # Not 5 s: a busy machine that runs the tests gets more.
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found or "chromium", chromium_sandbox=False, args=list(QUIET)
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of it, with cookies of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
