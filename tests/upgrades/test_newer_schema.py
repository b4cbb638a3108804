"""A newer major of the schema: no process starts; one that runs writes nothing, and pages nothing stored."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from app import actions
from app.cli import main
from app.ops import watch
from app.ops.diagnostics import config_to_serve
from app.ops.health import readiness
from app.store import OURS, NewerSchema, StoreRefusesWrites, StoreUnavailable
from tasks.sweep import Sweeper
from tests.fakes import environment
from tests.upgrades import scene

SENTENCE = "Redis holds what a newer version of Versus Incident stored (schema 2; this is "


def take_over(redis_url: str, major: str = "2") -> None:
    scene.client(redis_url).hset("versus:schema", "major", major)


@pytest.fixture
def in_a_folder_of_its_own(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment(redis_url).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("in_a_folder_of_its_own")
def test_no_process_starts(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for older in ("1", "0"):
        take_over(redis_url, older)
        config_to_serve()
    take_over(redis_url)
    with pytest.raises(SystemExit) as ended:
        config_to_serve()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(SENTENCE)
    assert said.count("\n") == 1
    assert main(["check-config", "--online"]) == 2
    assert SENTENCE in capsys.readouterr().out


def test_the_first_write_says_which_schema_it_is(redis_url: str) -> None:
    cast, client = scene.Cast(redis_url), scene.client(redis_url)
    one = cast.report()
    assert client.hget("versus:schema", "major") == "1"
    assert client.hget(f"versus:incident:{one}", "schema") == OURS
    # A newer minor has written it, and an older one writes it again.
    client.hset("versus:schema", mapping={"major": "1", "of_a_newer_version": "x"})
    actions.acknowledge(cast.services, one, "Dana")
    assert client.hgetall("versus:schema") == {"major": "1", "of_a_newer_version": "x"}


def test_a_process_that_runs_writes_and_pages_nothing_and_does_not_end(
    redis_url: str, log_without: Callable[..., io.StringIO]
) -> None:
    log, cast = log_without(), scene.Cast(redis_url)
    services, sweeper = cast.services, Sweeper(cast.services)
    due, acknowledged = cast.report(0), cast.report()
    actions.acknowledge(services, acknowledged, "Dana")
    take_over(redis_url)
    before = scene.dumped(redis_url)

    # At once, though nobody has looked yet.
    for refused in (lambda: cast.page(due), lambda: actions.resolve(services, due, "Dana")):
        with pytest.raises(NewerSchema) as why:
            refused()
        assert not isinstance(why.value, StoreRefusesWrites)
    with pytest.raises(StoreUnavailable, match=r"Your acknowledgement could not be stored.*schema 2"):
        actions.acknowledge(services, due, "Dana")
    assert cast.provider.events == []
    assert {key: scene.dumped(redis_url)[key] for key in before if "incident:" in key} == {
        key: value for key, value in before.items() if "incident:" in key
    }

    # And within a second it hands out nothing any more, and says so.
    for _ in range(2):
        with pytest.raises(NewerSchema):
            watch.check(services)
        with pytest.raises(NewerSchema):
            sweeper.run()
    assert readiness(services)["redis"].startswith(SENTENCE)
    assert log.getvalue().count("newer_schema") == 1
    # A webhook is paged at once, as when Redis is away: nobody else will see it.
    direct = cast.report(3)
    assert cast.provider.notified() == [("firing", direct)]

    # A backup from before the upgrade was restored.
    take_over(redis_url, "1")
    watch.check(services)
    cast.clock.wind(seconds=15)
    cast.page(due)
    services.backlog.write()
    assert cast.provider.notified() == [("firing", direct), ("firing", due)]
    assert services.store.incidents.require(direct).state == "escalated"


def test_processes_say_which_version_they_are(redis_url: str) -> None:
    cast, client = scene.Cast(redis_url), scene.client(redis_url)
    processes, now = cast.services.store.processes, cast.clock.now
    assert not processes.all_know(OURS, now), "nobody is known yet"
    processes.announce("web", now)
    processes.announce("web", now)
    [process] = processes.living(now)
    assert (process.kind, process.schema) == ("web", OURS)
    client.zadd("versus:processes", {"worker far:7 1.12.0 1.12 more": now.timestamp()})
    assert {one.version for one in processes.living(now)} == {process.version, "1.12.0"}
    assert processes.all_know(OURS, now)
    assert not processes.all_know("1.9", now)
    later = cast.clock.wind(seconds=31)
    client.zadd("versus:processes", {"worker far:7 1.12.0 1.12 more": later.timestamp()})
    assert processes.all_know("1.9", later), "the other one is over"
    assert not processes.all_know("1.13", later)
    processes.announce("web", cast.clock.wind(hours=2))
    assert client.zcard("versus:processes") == 1
