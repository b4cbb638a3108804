"""How new connections are shared among web processes."""

from __future__ import annotations

import pytest

from app.web.gunicorn_worker import hesitation


@pytest.mark.parametrize(("connections", "milliseconds"), [(0, 0.0), (4, 0.4), (10, 1.0), (1000, 1.0)])
def test_a_process_that_holds_more_connections_waits_longer_for_another(
    connections: int, milliseconds: float
) -> None:
    assert hesitation(connections) == pytest.approx(milliseconds / 1000)
