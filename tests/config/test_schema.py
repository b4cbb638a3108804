"""What follows from settings: addresses, alert sources, keys, and that no secret gets out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from redis import Redis

from app.domain.incident import Incident
from app.serializers import IncidentBrief
from config import AlertSource, Config, ConfigError, UnknownAlertSource, load_config
from config.block import Block
from config.keys import NAMED, SETTINGS, inner_block
from config.redis_address import RedisAddress, passwords_in
from config.values import SAMPLE_INCIDENT

ROOT = Path(__file__).parents[2]


def load(directory: Path, settings: dict[str, object], **environ: str) -> Config:
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump(settings or {"name": "versus"}, sort_keys=False))
    return load_config(file, environ)


def provider(**settings: object) -> dict[str, object]:
    return {"oncall": {"incident_io": settings}}


SOURCES = provider(
    api_key="key-1",
    alert_source_config_id="source-1",
    other_alert_source_config_ids={"infra": "source-2", "db": {"id": "source-3", "api_key": "key-3"}},
)


# -- on-call ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enable", "initialized_only", "by_default"),
    [(False, False, False), (False, True, False), (True, False, True), (True, True, False)],
)
def test_on_call_is_the_default(
    tmp_path: Path, enable: bool, initialized_only: bool, by_default: bool
) -> None:
    switches = {"enable": enable, "initialized_only": initialized_only}
    environ = {"INCIDENTIO_API_KEY": "key-1", "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source-1"}
    oncall = load(tmp_path, {"oncall": switches}, **environ).oncall
    assert (oncall.by_default, oncall.ready) == (by_default, True)


def test_on_call_is_not_ready_without_credentials(tmp_path: Path) -> None:
    assert not load(tmp_path, {}).oncall.ready
    assert not load(tmp_path, provider(api_key="key-1")).oncall.ready


# -- alert sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("default", AlertSource("default", "source-1", SecretStr("key-1"))),
        ("infra", AlertSource("infra", "source-2", SecretStr("key-1"))),
        ("db", AlertSource("db", "source-3", SecretStr("key-3"))),
    ],
)
def test_it_finds_an_alert_source(tmp_path: Path, name: str, source: AlertSource) -> None:
    assert load(tmp_path, SOURCES).oncall.incident_io.alert_sources[name] == source


def test_names_are_compared_in_lower_case(tmp_path: Path) -> None:
    assert load(tmp_path, SOURCES).oncall.pager("incident_io", "INFRA") == "incident_io/infra"


@pytest.mark.parametrize("name", ["", "apps", "infra ", "x" * 10_000])
def test_it_lists_the_names_that_exist(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownAlertSource, match="the names are default, infra, db") as caught:
        load(tmp_path, SOURCES).oncall.pager("incident_io", name)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("which", ["incident_io", "pagerduty"])
def test_it_has_no_alert_source_without_a_key(tmp_path: Path, which: str) -> None:
    with pytest.raises(UnknownAlertSource, match="none is configured"):
        load(tmp_path, provider(alert_source_config_id="source-1")).oncall.pager(which, "default")


# -- addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_host", "public_base"),
    [
        (None, "http://localhost:3000"),
        ("", "http://localhost:3000"),
        ("https://versus.example.com", "https://versus.example.com"),
        ("https://versus.example.com/", "https://versus.example.com"),
        ("http://versus.example.com:8080/behind/", "http://versus.example.com:8080/behind"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_links_begin_with(tmp_path: Path, given_host: str | None, public_base: str) -> None:
    assert load(tmp_path, {"public_host": given_host}).public_base == public_base


@pytest.mark.parametrize(
    "address",
    [
        "versus.example.com",
        "ftp://versus.example.com",
        "https://",
        "https:///path",
        "https://versus.example.com?x=1",
        "https://versus.example.com#x",
        "https://user@versus.example.com",
        "https://versus example.com",
        "https://versus.example.com\n",
        "https://versus.example.com:port",
        "https://versus.example.com:99999",
        "https://[::1",
        "javascript:alert(1)",
    ],
)
def test_it_refuses_as_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="public_host in"):
        load(tmp_path, {"public_host": address})
    with pytest.raises(ConfigError, match="base_url in"):
        load(tmp_path, provider(base_url=address))


@pytest.mark.parametrize(
    ("base_url", "accepted"),
    [
        ("https://proxy.example.com/incident-io", True),
        ("http://localhost:9000", True),
        ("http://127.0.0.1:9000", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:9000", True),
        ("http://simulator.localhost", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
    ],
)
def test_the_api_key_travels_over_tls(tmp_path: Path, base_url: str, accepted: bool) -> None:
    if accepted:
        assert load(tmp_path, provider(base_url=base_url)).oncall.incident_io.base_url == base_url
    else:
        with pytest.raises(ConfigError, match="TLS"):
            load(tmp_path, provider(base_url=base_url))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "0.0.0.0:3000"),
        ("::", "[::]:3000"),
        ("fd00::1", "[fd00::1]:3000"),
        ("localhost", "localhost:3000"),
    ],
)
def test_an_ipv6_address_stands_in_brackets(tmp_path: Path, host: str, address: str) -> None:
    assert load(tmp_path, {"host": host}).address == address


@pytest.mark.parametrize(
    ("public_host", "path"),
    [("https://a.example.com/versus/", "/versus"), ("https://a.example.com", ""), (None, "")],
)
def test_the_address_of_people_may_have_a_path(tmp_path: Path, public_host: str | None, path: str) -> None:
    assert load(tmp_path, {"public_host": public_host}).public_path == path


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("X-Gitlab-Token, cf-webhook-auth", ("X-Gitlab-Token", "cf-webhook-auth")),
        (["X-Gitlab-Token"], ("X-Gitlab-Token",)),
        ("", ()),
    ],
)
def test_headers_of_the_secret_are_named(tmp_path: Path, given: Any, names: tuple[str, ...]) -> None:
    assert load(tmp_path, {"intake": {"secret_headers": given}}).intake.secret_headers == names


@pytest.mark.parametrize("given", ["X Gitlab", "a:b", ["ü"], {"a": "b"}])
def test_what_is_no_name_of_a_header_is_refused(tmp_path: Path, given: Any) -> None:
    with pytest.raises(ConfigError, match=r"intake\.secret_headers"):
        load(tmp_path, {"intake": {"secret_headers": given}})


@pytest.mark.parametrize("host", ["redis", "10.0.0.1", "redis.example.com", "::", "0.0.0.0"])
def test_it_accepts_as_host(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, {"host": host}).host == host


# -- Redis --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "environ", "url", "configured"),
    [
        ({}, {}, "redis://localhost:6379/0", False),
        ({"host": "", "port": "", "db": 0}, {}, "redis://localhost:6379/0", False),
        ({"host": "redis"}, {}, "redis://redis:6379/0", True),
        ({"host": "redis", "port": 6380, "db": 2}, {}, "redis://redis:6380/2", True),
        ({"host": "redis", "password": "p@s/s:#"}, {}, "redis://:p%40s%2Fs%3A%23@redis:6379/0", True),
        ({"host": "redis", "username": "a", "password": "b"}, {}, "redis://a:b@redis:6379/0", True),
        ({"host": "::1"}, {}, "redis://[::1]:6379/0", True),
        ({"host": "redis"}, {"REDIS_URL": "rediss://other/1"}, "rediss://other/1", True),
        (
            {},
            {"REDIS_URL": "sentinel://:pw@one:26379;sentinel://:pw@two:26379/0"},
            "sentinel://:pw@one:26379;sentinel://:pw@two:26379/0",
            True,
        ),
    ],
)
def test_redis_is_at(
    tmp_path: Path, block: dict[str, object], environ: dict[str, str], url: str, configured: bool
) -> None:
    redis = load(tmp_path, {"redis": block}, **environ).redis
    assert (redis.url.get_secret_value(), redis.configured) == (url, configured)


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_redis_gets_the_credentials_as_they_are(username: str, password: str) -> None:
    url = RedisAddress((("redis", 6379),), 0, username, SecretStr(password)).url
    parsed = Redis.from_url(url).connection_pool.connection_kwargs
    assert (parsed["username"], parsed["password"]) == (username, password)
    assert password in list(passwords_in(url))


# -- secrets ------------------------------------------------------------------------------------------

PLANTED = {
    "GATEWAY_SECRET": "planted-gateway-secret",
    "INTAKE_SECRET": "planted-intake",
    "INCIDENTIO_API_KEY": "planted-key-1",
    "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source-1",
    "INCIDENTIO_OTHER_API_KEY_DB": "planted-key-2",
    "REDIS_PASSWORD": "planted@redis",
}
WITH_SECRETS: dict[str, object] = {
    "gateway_secret": "${GATEWAY_SECRET}",
    "intake_secret": "${INTAKE_SECRET}",
    "oncall": {
        "enable": True,
        "incident_io": {
            "other_alert_source_config_ids": {"db": {"id": "3", "api_key": "${INCIDENTIO_OTHER_API_KEY_DB}"}}
        },
    },
    "redis": {"host": "redis", "password": "${REDIS_PASSWORD}"},
}


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    config = load(tmp_path, WITH_SECRETS, **PLANTED)
    source = config.oncall.incident_io.alert_sources["db"]
    shown = f"{config!r} {config} {config.describe()} {config.warnings} {source} {config.model_dump_json()}"
    assert "planted" not in shown
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"port": "planted", "gateway_secret": "planted "})
    assert "planted" not in str(caught.value)


def test_it_describes_what_is_in_force(tmp_path: Path) -> None:
    described = load(tmp_path, WITH_SECRETS, **PLANTED).describe()
    assert described["gateway_secret"] == described["redis"]["url"] == "<secret>"
    assert described["oncall"]["incident_io"]["other_alert_source_config_ids"] == {
        "db": {"id": "3", "api_key": "<secret>"}
    }
    bare = load(tmp_path, {}).describe()
    assert bare["gateway_secret"] is None
    assert bare["redis"]["url"] == "redis://localhost:6379/0"
    assert "warnings" not in bare


def test_it_knows_its_secrets(tmp_path: Path) -> None:
    secrets = load(tmp_path, WITH_SECRETS, **PLANTED).secrets()
    written = set(PLANTED.values()) - {"source-1"} | {quote(PLANTED["REDIS_PASSWORD"], safe="")}
    assert written <= set(secrets)
    assert "source-1" not in secrets
    assert load(tmp_path, {}).secrets() == []


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("redis://:planted@redis:6379/0", "planted"),
        ("rediss://user:pl%40nted@redis", "pl@nted"),
        ("redis://redis:6379/0?password=planted", "planted"),
        ("sentinel://one:26379;sentinel://:planted@two:26379/0", "planted"),
        ("sentinel://one:26379/0?sentinel_password=planted", "planted"),
    ],
)
def test_it_finds_the_password_in_a_url(tmp_path: Path, url: str, password: str) -> None:
    config = load(tmp_path, {}, REDIS_URL=url)
    assert {url, password} <= set(config.secrets())
    assert config.describe()["redis"]["url"] == "<secret>"


def test_a_url_without_a_password_is_no_secret(tmp_path: Path) -> None:
    assert load(tmp_path, {}, REDIS_URL="redis://redis:6379/0").secrets() == []


def test_links_are_signed_with_the_best_secret_there_is_and_never_with_a_name(tmp_path: Path) -> None:
    with_services = load(tmp_path, {}, GATEWAY_SECRET="g", INCIDENTIO_API_KEY="k").link_key
    again = load(tmp_path, {"name": "other"}, GATEWAY_SECRET="g").link_key
    with_key = load(tmp_path, {}, INCIDENTIO_API_KEY="k").link_key
    assert with_services == again
    assert with_services is not None
    assert with_key is not None
    assert with_services != with_key
    assert len(with_services) == len(with_key) == 32
    assert load(tmp_path, {}).link_key is None


def test_without_a_gateway_secret_nobody_can_know_what_signs_a_session(tmp_path: Path) -> None:
    assert load(tmp_path, {}).session_key != load(tmp_path, {}).session_key


def test_the_configuration_does_not_change(tmp_path: Path) -> None:
    config: Any = load(tmp_path, {})
    with pytest.raises(ValidationError):
        config.port = 1


# -- titles -------------------------------------------------------------------------------------------


def test_the_sample_incident_has_what_an_incident_shows() -> None:
    names = set(vars(SAMPLE_INCIDENT))
    assert names == {*IncidentBrief.model_fields, "identity"} - {"ack_url", "last_reason"}
    assert {name for name in names if hasattr(Incident, name)} == names


@pytest.mark.parametrize(
    "title",
    [
        "Down",
        "Incident {{ incident.id }}",
        "[{{ incident.severity | upper }}] {{ incident.title }}",
        "{{ incident.labels.team }} {{ incident.labels['a-b'] }} {{ incident.labels.get('c', '') }}",
        "{% if incident.started_at %}{{ incident.started_at.strftime('%H:%M') }}{% endif %}",
    ],
)
def test_it_accepts_as_title(tmp_path: Path, title: str) -> None:
    assert load(tmp_path, provider(title=title)).oncall.incident_io.title == title


@pytest.mark.parametrize(
    "title",
    [
        "{{ incident.nope }}",
        "{{ nope }}",
        "{% if %}",
        "{{ 'x' | nope }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 1 + '' }}",
    ],
)
def test_it_refuses_as_title_and_quotes_nothing_of_it(tmp_path: Path, title: str) -> None:
    with pytest.raises(ConfigError, match="title in") as caught:
        load(tmp_path, provider(title=title))
    assert "nope" not in str(caught.value)


# -- documentation, weight ----------------------------------------------------------------------------


def documented() -> dict[str, tuple[str, str]]:
    table = (ROOT / "docs/configuration.md").read_text()
    rows = [line.strip("| ").split("|") for line in table.split("\n") if line.startswith("| `")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return {row[0].strip("`"): (row[1], row[2].strip("`")) for row in cells}


def in_the_schema() -> dict[str, tuple[str, str]]:
    rows = {}
    for key, setting in SETTINGS.items():
        named = (inner for path, inner in NAMED.items() if key[: len(path) + 1] == (*path, "<name>"))
        block: type[Block] = next(named, Config)
        for part in key[:-1] if block is Config else ():
            block = inner_block(block, part) or block
        if inner_block(block, key[-1]):
            continue
        field = block.model_fields[key[-1]]
        default = (
            ""
            if field.is_required() or field.default_factory or not has_value(field.default)
            else field.default
        )
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        shown = ", ".join(default) if isinstance(default, tuple) else shown
        wins = " (wins)" if setting.variable_wins else ""
        variable = f"`{setting.variable}`{wins}" if setting.variable else ""
        rows[".".join(key)] = (variable, shown.lower() if isinstance(default, bool) else shown)
    return rows


def has_value(default: object) -> bool:
    return default is not None and default != {}


def test_the_table_of_settings_is_the_schema() -> None:
    assert documented() == in_the_schema()


def test_it_needs_no_web_no_worker_and_no_redis() -> None:
    code = "import sys, config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"flask", "celery", "kombu", "redis", "requests"} & set(done.stdout.split())
