"""A run that went wrong says what, with which seed, and all about the incident."""

from __future__ import annotations

from pathlib import Path

from tests.chaos import report
from tests.chaos.checker import check
from tests.chaos.history import History
from tests.chaos.plan import plan
from tests.chaos.run import Result
from tests.chaos.test_checker import ACKNOWLEDGED, KILLED, event, history, record, webhook


def result(stated: History) -> Result:
    """Of a run that began at 90."""
    evidence = {"i": ["timeline  03:00:01  acknowledged  by link"]}
    return Result(plan(7, 10), stated, check(stated), 90.0, 150.0, Path("/somewhere"), evidence)


def test_the_guilty_incident_is_told_with_all_that_happened_to_it_and_around_it() -> None:
    other = (webhook("other", marker="chaos-2", due_at=None), record("open", "other", due_at=None))
    stated = history(*ACKNOWLEDGED, event(110.5), KILLED, *other)
    text = report.accusation(result(stated))
    for part in (
        "what_was_ended_in_time_never_pages: It was acknowledged or resolved in time",
        *("seed 7: 1 violations", "/somewhere", "by link", "kill_worker"),
        # In seconds since the start.
        *(
            "10.000  Exchange",
            "15.000  Exchange",
            "20.500  Event",
            "20.000  Fault",
            "i pending, due at 20.000",
        ),
    ):
        assert part in text, text
    assert "chaos-2" not in text


def test_what_time_might_have_cured_is_told_last() -> None:
    waiting = [(webhook(one), event(110.1, key=one), record("escalating", one)) for one in "abc"]
    stated = history(*(part for parts in waiting for part in parts), *ACKNOWLEDGED, event(110.5), KILLED)
    last, _ = report.accusation(result(stated)).splitlines()[-2:]
    assert last.startswith("records_agree_with_incident_io")
    assert "Time might have cured it. (c)" in last


def test_the_figures_of_a_run() -> None:
    stated = history(*ACKNOWLEDGED, webhook("j"), event(113.0, key="j"), event(127.0, key="j"), KILLED)
    figures = report.summary(result(stated))
    assert (figures["seed"], figures["acknowledged"], figures["paged"], figures["pages_repeated"]) == (
        7,
        1,
        1,
        1,
    )
    assert figures["faults"] == {"kill_worker": 1}
    assert figures["late"] == {"count": 1, "p50": 3.0, "p90": 3.0, "p99": 3.0, "max": 3.0}
    assert figures["late_in_calm"] == {"count": 0}
    assert "seed 7, 10 s" in report.described(figures)


def test_a_history_is_written_in_the_order_in_which_it_happened(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history(*ACKNOWLEDGED, KILLED).write(path)
    lines = path.read_text().splitlines()
    assert [line.split('"')[3] for line in lines] == ["exchange", "exchange", "fault", "record", "end"]
