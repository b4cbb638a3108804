"""`versus check-config --online`: the real things are tried, and each line says what would be right."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import responses

from app.cli import main
from app.ops.diagnostics import redis_settings, redis_trouble, report_until_redis_answers, warn_of_redis
from app.store import Settings, Store
from local.embedded import EmbeddedRedis, free_port
from local.processes import ROOT
from local.simulator import Simulator
from tests.fakes import API_KEY, environment
from tests.relay import Relay
from tests.stories.stack import wait_until
from tests.stories.test_redis import GRANT
from tests.tls import Certificates

PASSWORD = "planted-password-8e21"
WELL = Settings(version="7.2.4", appendonly=True, maxmemory_policy="noeviction", appendfsync="everysec")

Check = Callable[..., tuple[int, dict[str, tuple[str, str]]]]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator({API_KEY: {"source-default", "source-infra"}}) as simulator:
        yield simulator


@pytest.fixture
def check(
    redis_url: str,
    simulator: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Check:
    """Runs the command with these variables; its status, and each level and text by what they are about."""
    # No `.env` of anyone who runs the tests.
    monkeypatch.chdir(tmp_path)

    def run(**variables: str) -> tuple[int, dict[str, tuple[str, str]]]:
        environ = environment(redis_url, INCIDENTIO_BASE_URL=simulator.base_url, NO_PROXY="localhost")
        for name, value in {**environ, **variables}.items():
            monkeypatch.setenv(name, value)
        status = main(["check-config", "--online", "--config", str(ROOT / "config" / "config.yaml")])
        out, err = capsys.readouterr()
        assert not [secret for secret in (API_KEY, PASSWORD) if secret in out + err]
        lines = [line.split(maxsplit=1) for line in out.splitlines()]
        return status, {rest.partition(": ")[0]: (level, rest.partition(": ")[2]) for level, rest in lines}

    return run


@pytest.fixture
def admin(own: EmbeddedRedis) -> redis.Redis:
    """Changes the settings of a server of the test's own."""
    return redis.Redis.from_url(own.url, decode_responses=True)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis").start()
    yield server
    # Not in order: it would refuse to end while it writes the file that a test switched on again.
    server.kill()


# -- Redis --------------------------------------------------------------------------------------------------


def test_all_is_well(check: Check, simulator: Simulator) -> None:
    status, found = check()
    assert status == 0
    assert {level for level, _ in found.values()} == {"ok"}
    assert set(found) == {
        *("redis", "redis version", "appendonly", "appendfsync", "maxmemory-policy"),
        *("incident.io (default, infra)", "clocks"),
    }
    assert "round trip takes" in found["redis"][1]
    assert [(r.method, r.path, r.status) for r in simulator.requests] == [("GET", "/v1/identity", 200)]
    assert simulator.alerts == {}


def test_settings_that_lose_incidents_are_errors(
    check: Check, admin: redis.Redis, own: EmbeddedRedis
) -> None:
    admin.config_set("appendonly", "no")
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.config_set("appendfsync", "no")
    status, found = check(REDIS_URL=own.url)
    assert status == 1
    assert found["appendonly"][0] == found["maxmemory-policy"][0] == "error"
    assert found["appendonly"][1].endswith("set appendonly yes.")
    assert found["maxmemory-policy"][1].startswith("is allkeys-lru")
    assert found["appendfsync"][0] == "warning"


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        (WELL, ["ok", "ok", "ok", "ok"]),
        (Settings("6.2.0", True, "noeviction", "always"), ["ok", "ok", "ok", "ok"]),
        (Settings("6.0.16", True, "noeviction", "everysec"), ["error", "ok", "ok", "ok"]),
        (Settings("10.0", False, "volatile-ttl", "no"), ["ok", "error", "warning", "error"]),
        (Settings(None, None, None, None), ["warning"] * 4),
    ],
)
def test_each_setting_has_its_verdict(settings: Settings, levels: list[str]) -> None:
    assert [finding.level for finding in redis_settings(settings)] == levels


def as_user(admin: Any, own: EmbeddedRedis, *more: str) -> str:
    """The address of the server for a user with few rights and these."""
    admin.execute_command("ACL", "SETUSER", "few", f">{PASSWORD}", *GRANT.split(), "-@dangerous", *more)
    return own.url.replace("://", f"://few:{PASSWORD}@")


def test_what_a_user_may_not_ask_is_unknown(check: Check, admin: redis.Redis, own: EmbeddedRedis) -> None:
    status, found = check(REDIS_URL=as_user(admin, own))
    assert status == 0
    for about in ("appendonly", "appendfsync", "maxmemory-policy"):
        level, text = found[about]
        assert (level, text.partition(",")[0]) == ("warning", "is unknown")
    # HELLO tells it to everybody.
    assert found["redis version"][0] == "ok"


@pytest.mark.parametrize(("grant", "unknown"), [("+info", ["appendfsync"]), ("+config|get", [])])
def test_either_question_is_enough(
    grant: str, unknown: list[str], check: Check, admin: redis.Redis, own: EmbeddedRedis
) -> None:
    admin.config_set("maxmemory-policy", "volatile-lru")
    status, found = check(REDIS_URL=as_user(admin, own, grant))
    assert status == 1
    assert [about for about, (level, _) in found.items() if level == "warning"] == unknown
    assert found["appendonly"][0] == "ok"
    assert found["maxmemory-policy"][0] == "error"


def test_a_redis_that_is_away_is_one_error(check: Check) -> None:
    status, found = check(REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0")
    assert status == 1
    assert [about for about, (level, _) in found.items() if level == "error"] == ["redis"]
    assert "incident.io (default, infra)" in found


def test_it_goes_through_tls_like_everything(check: Check, secure: Relay, tls: Certificates) -> None:
    url = f"rediss://localhost:{secure.port}/0"
    assert check(REDIS_URL=f"{url}?ssl_ca_certs={tls.ca}")[0] == 0
    status, found = check(REDIS_URL=url)
    assert status == 2
    assert "certificate was not accepted" in found["redis"][1]


# -- incident.io --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (401, "warning", "proves nothing: `versus drill` does"),
        (403, "warning", "proves nothing"),
        (429, "warning", "try again later"),
        (503, "warning", "try again later"),
        (301, "error", "INCIDENTIO_BASE_URL"),
        (404, "error", "INCIDENTIO_BASE_URL"),
    ],
)
def test_what_incident_io_answers(
    answer: int, level: str, words: str, check: Check, simulator: Simulator
) -> None:
    simulator.answer_with(answer)
    status, found = check()
    stated = found["incident.io (default, infra)"]
    assert (stated[0], status) == (level, 1 if level == "error" else 0)
    assert str(answer) in stated[1]
    assert words in stated[1]


@pytest.mark.parametrize("mode", ["reset", "garbage"])
def test_no_answer_is_an_error(mode: str, check: Check, simulator: Simulator) -> None:
    simulator.answer_with(mode=mode)
    status, found = check()
    assert status == 1
    assert "gives no answer" in found["incident.io (default, infra)"][1]


def test_each_api_key_is_tried(check: Check, simulator: Simulator) -> None:
    simulator.keys = {**simulator.keys, "planted-db-key": {"source-db"}}
    variables = {
        "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_DB": "source-db",
        "INCIDENTIO_OTHER_API_KEY_DB": "planted-db-key",
    }
    _, found = check(**variables)
    assert [about for about in found if "incident" in about] == [
        "incident.io (default, infra)",
        "incident.io (db)",
    ]
    _, found = check(**variables, INCIDENTIO_BASE_URL=f"http://127.0.0.1:{free_port()}")
    assert [about for about in found if "incident" in about] == ["incident.io (default, infra)"]


def test_its_certificate_must_be_good(check: Check, simulator: Simulator, tls: Certificates) -> None:
    relay = Relay(int(simulator.base_url.rpartition(":")[2]), tls.server)
    url = f"https://localhost:{relay.port}"
    status, found = check(INCIDENTIO_BASE_URL=url)
    assert status == 1
    assert "can't be trusted" in found["incident.io (default, infra)"][1]
    assert "REQUESTS_CA_BUNDLE" in found["incident.io (default, infra)"][1]
    status, found = check(INCIDENTIO_BASE_URL=url, REQUESTS_CA_BUNDLE=str(tls.ca))
    assert (status, found["incident.io (default, infra)"][0]) == (0, "ok")
    relay.stop()


def test_without_on_call_nobody_is_asked(check: Check, simulator: Simulator) -> None:
    status, found = check(ONCALL_ENABLE="false", INCIDENTIO_API_KEY="")
    assert (status, found["incident.io"][0]) == (0, "ok")
    assert simulator.requests == []


# -- clocks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "level"), [(0, "ok"), (-4, "warning"), (4, "warning"), (7200, "warning")]
)
def test_clocks_that_differ_are_a_warning(seconds: float, level: str, check: Check) -> None:
    stated = datetime.now(UTC) + timedelta(seconds=seconds)
    with responses.RequestsMock() as web:
        date = format_datetime(stated, usegmt=True)
        web.get("https://api.incident.io/v1/identity", headers={"Date": date}, json={})
        status, found = check(INCIDENTIO_BASE_URL="https://api.incident.io")
    assert (status, found["clocks"][0]) == (0, level)
    assert "NTP" in found["clocks"][1] or level == "ok"


def test_a_date_that_is_none_is_not_compared(check: Check) -> None:
    with responses.RequestsMock() as web:
        web.get("https://api.incident.io/v1/identity", headers={"Date": "soon"}, json={})
        _, found = check(INCIDENTIO_BASE_URL="https://api.incident.io")
    assert found["clocks"][0] == "ok"
    assert "incident.io" not in found["clocks"][1]


# -- configuration ------------------------------------------------------------------------------------------


def test_a_wrong_configuration_ends_with_2_before_anything_is_tried(
    tmp_path: Path, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.yaml").write_text("oncall: {wait_minute: 3}\n")
    assert main(["check-config", "--online", "--config", str(tmp_path / "wrong.yaml")]) == 2
    assert capsys.readouterr().out == ""
    assert simulator.requests == []


# -- at the start of a process ------------------------------------------------------------------------------


def test_the_log_warns_of_settings_that_lose_incidents(
    own: EmbeddedRedis, admin: redis.Redis, log: io.StringIO
) -> None:
    warn_of_redis(Store(own.url))
    assert log.getvalue() == ""
    admin.config_set("appendonly", "no")
    admin.config_set("maxmemory-policy", "allkeys-lru")
    warn_of_redis(Store(own.url))
    warned = [line for line in log.getvalue().splitlines() if "level=warning" in line]
    assert len(warned) == 2
    assert "set appendonly yes" in warned[0]
    assert "set maxmemory-policy noeviction" in warned[1]


def test_the_log_does_not_warn_of_what_is_unknown(
    admin: redis.Redis, own: EmbeddedRedis, log: io.StringIO
) -> None:
    warn_of_redis(Store(as_user(admin, own)))
    warn_of_redis(Store(f"redis://127.0.0.1:{free_port()}/0", retry_seconds=0.05))
    assert log.getvalue() == ""


def test_nothing_is_told_of_a_redis_that_is_there(redis_url: str, log: io.StringIO) -> None:
    report_until_redis_answers(Store(redis_url))
    assert log.getvalue() == ""


# -- the first contact ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["rediss://localhost:{}/0", "sentinel://localhost:{0},localhost:{0}/0?ssl=true"]
)
def test_a_certificate_that_is_not_accepted_is_a_wrong_configuration(form: str, secure: Relay) -> None:
    trouble = redis_trouble(form.format(secure.port))
    assert trouble is not None
    for word in ("its certificate was not accepted", "REDIS_CA_CERT", "REDIS_INSECURE_SKIP_VERIFY"):
        assert word in trouble


def test_a_certificate_that_is_accepted_is_no_trouble(secure: Relay, tls: Certificates) -> None:
    url = f"rediss://localhost:{secure.port}/0"
    assert redis_trouble(f"{url}?ssl_ca_certs={tls.ca}") is None
    assert redis_trouble(f"{url}?ssl_cert_reqs=none") is None


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_a_redis_that_is_away_is_no_trouble_of_the_configuration(scheme: str) -> None:
    assert redis_trouble(f"{scheme}://127.0.0.1:{free_port()}/0") is None


def test_a_refused_password_is_a_wrong_configuration(check: Check, server: EmbeddedRedis) -> None:
    status, found = check(REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0")
    assert status == 2
    level, text = found["redis"]
    assert level == "error"
    assert "it refuses the user name or the password" in text
    assert "REDIS_URL" in text


def test_the_log_says_so_loudly_while_redis_refuses_the_password(
    server: EmbeddedRedis, redis_url: str, log: io.StringIO
) -> None:
    client = redis.Redis.from_url(redis_url)
    url = f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"
    client.acl_setuser("default", enabled=True, nopass=False, reset_passwords=True, passwords=["+other"])
    admin = redis.Redis(port=server.port, password="other")
    thread = threading.Thread(
        target=report_until_redis_answers, args=(Store(url, retry_seconds=0.1),), daemon=True
    )
    try:
        thread.start()
        wait_until(lambda: "level=error event=redis_refuses" in log.getvalue(), "it is logged")
        admin.acl_setuser("default", enabled=True, reset_passwords=True, passwords=[f"+{PASSWORD}"])
        wait_until(lambda: "redis_there" in log.getvalue(), "it tries again")
    finally:
        for password in ("other", PASSWORD):
            with suppress(redis.AuthenticationError):
                redis.Redis(port=server.port, password=password).acl_setuser(
                    "default", enabled=True, nopass=True
                )
    assert PASSWORD not in log.getvalue()


def test_nobody_on_call_is_an_error_and_an_answer_that_is_not_known_is_none(
    check: Check, simulator: Simulator
) -> None:
    simulator.account.keys = {"account-key"}
    simulator.account.schedules = {"Primary": [], "Night": []}
    status, found = check(INCIDENTIO_ACCOUNT_API_KEY="account-key")
    assert (status, found["on call"][0]) == (1, "error")
    assert "NOBODY" in found["on call"][1]
    simulator.account.schedules = {"Primary": ["Ada"], "Night": []}
    assert check(INCIDENTIO_ACCOUNT_API_KEY="account-key")[1]["on call"][0] == "warning"
    simulator.account.keys = {"another"}
    assert check(INCIDENTIO_ACCOUNT_API_KEY="account-key")[1]["on call"][0] == "warning"
