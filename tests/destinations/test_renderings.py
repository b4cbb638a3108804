"""The page of the default messages shows what is sent today."""

from __future__ import annotations

from pathlib import Path

from tests.destinations.renderings import PAGE, rendered, sample_services


def test_the_page_of_messages_is_up_to_date(tmp_path: Path) -> None:
    page = "".join(rendered(sample_services(tmp_path)))
    assert page.count("```") == 2 * 9 * 4
    assert PAGE.read_text() == page, "run: python -m tests.destinations.renderings"
