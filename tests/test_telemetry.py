"""Log lines: their form, and that no secret gets into one."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable

import pytest

from app import telemetry

SECRET = "planted-4711"


Logged = Callable[..., io.StringIO]


def test_a_line_names_time_level_event_and_incident_first(log_without: Logged) -> None:
    stream = log_without()
    telemetry.log.info("event_sent", verdict="delivered", incident="id-1")
    [line] = stream.getvalue().splitlines()
    pattern = (
        r"at=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z level=info event=event_sent incident=id-1 verdict=delivered"
    )
    assert re.match(pattern, line)


def test_what_libraries_log_looks_the_same(log_without: Logged) -> None:
    stream = log_without()
    logging.getLogger("celery.worker").warning("lost %s", "a connection")
    [line] = stream.getvalue().splitlines()
    assert re.match(r'at=\S+Z level=warning event="lost a connection" logger=celery.worker$', line)


def test_what_is_below_info_is_not_written(log_without: Logged) -> None:
    stream = log_without()
    telemetry.log.debug("detail")
    logging.getLogger("urllib3").debug("POST /?token=x")
    assert stream.getvalue() == ""


def test_a_traceback_stays_on_one_line(log_without: Logged) -> None:
    stream = log_without()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        telemetry.log.exception("sweep_failed")
    [line] = stream.getvalue().splitlines()
    assert "level=error" in line
    assert "ValueError: two\\nlines" in line


@pytest.mark.parametrize(
    "tell",
    [
        lambda: telemetry.log.info(f"the key is {SECRET}"),
        lambda: telemetry.log.info("event", detail=f"Bearer {SECRET}"),
        lambda: telemetry.log.info("event", detail={"deep": [f"x{SECRET}x"]}),
        lambda: telemetry.log.error("event", exc_info=ValueError(f"with {SECRET}")),
        lambda: logging.getLogger("library").warning("url %s", f"redis://:{SECRET}@host"),
        lambda: logging.getLogger("library").error("x", exc_info=ValueError(SECRET)),
        lambda: logging.getLogger("library").warning("x", extra={"key": SECRET}),
    ],
    ids=["event", "field", "nested", "exception", "library", "library's exception", "library's extra"],
)
def test_a_secret_is_redacted_wherever_it_stands_in_a_line(
    log_without: Logged, tell: Callable[[], None]
) -> None:
    stream = log_without(SECRET)
    tell()
    assert SECRET not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_a_chained_exception_is_redacted_too(log_without: Logged) -> None:
    stream = log_without(SECRET)
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise RuntimeError("outer") from error
    except RuntimeError:
        telemetry.log.exception("failed")
    assert "<secret>" in stream.getvalue()
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize(
    "secret",
    [
        'opening"ending',
        "opening\\ending",
        "opening'ending",
        "opening ending",
        "opening=ending",
        "\u00f6pening ending",
    ],
)
def test_a_secret_is_redacted_though_the_line_writes_it_differently(log_without: Logged, secret: str) -> None:
    stream = log_without(secret)
    telemetry.log.error("event", detail=f"<{secret}>", nested=[secret], exc_info=ValueError(f"<{secret}>"))
    assert "ending" not in stream.getvalue()


def test_of_two_secrets_the_longer_one_is_redacted_whole(log_without: Logged) -> None:
    stream = log_without("planted", "planted-and-more")
    telemetry.log.info("event", detail="planted-and-more planted")
    assert "<secret> <secret>" in stream.getvalue()
    assert "and-more" not in stream.getvalue()


def test_a_value_too_short_for_a_secret_does_not_blot_out_words(log_without: Logged) -> None:
    stream = log_without("a", "", "abc")
    telemetry.log.info("event", detail="abc a banana")
    assert 'detail="abc a banana"' in stream.getvalue()


def test_configuring_twice_writes_each_line_once(log_without: Logged) -> None:
    first, second = log_without(), log_without()
    telemetry.log.info("event")
    assert (first.getvalue(), len(second.getvalue().splitlines())) == ("", 1)
