"""Story: the gateway secret is changed while links that people were sent are still good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
import yaml

from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, wait_until


def restarted(stack: Stack, folder: Path, **changed: Any) -> None:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changed))
    stack.web.stop()
    stack.web = stack.start("web")
    wait_until(lambda: checks(stack).get("redis") == "ok", "web is back")


def checks(stack: Stack) -> dict[str, str]:
    """What /readyz says."""
    try:
        said: dict[str, str] = requests.get(f"{stack.base}/readyz", timeout=60).json()["checks"]
    except requests.RequestException:
        return {}
    return said


def test_a_link_works_as_long_as_the_secret_that_signed_it_is_named(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    try:
        first, second = stack.ready().report(600), stack.report(600)
        rotated = {"gateway_secret": "another-secret-7c21"}
        restarted(stack, tmp_path, **rotated, gateway_secret_previous=GATEWAY_SECRET)
        assert stack.acknowledge(first).status_code == 200
        assert stack.acknowledge(stack.report(600)).status_code == 200
        # The worker still has the old one.
        assert "differ in gateway_secret: " in checks(stack)["settings"]
        assert "another-secret" not in checks(stack)["settings"]
        restarted(stack, tmp_path, **rotated, gateway_secret_previous=None)
        assert stack.acknowledge(second).status_code == 401
    finally:
        stack.stop()
