"""Stacks for the stories: one that the peaceful ones share, and one for each that breaks things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
