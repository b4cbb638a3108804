"""Where values come from: the file, the variables in it, and the variables beside it."""

from __future__ import annotations

import string
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from config import Config, ConfigError, load_config
from config.document import expand
from config.values import InvalidValue

GO_EDITION = Path(__file__).parent / "go_edition.yaml"
CREDENTIALS = {"INCIDENTIO_API_KEY": "key-1", "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source-1"}


class Files:
    """Loads a configuration from text."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "config.yaml"

    def load(self, text: str, **environ: str) -> Config:
        self.file.write_text(textwrap.dedent(text), encoding="utf-8")
        return load_config(self.file, environ)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def opened(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


# -- which file, which environment --------------------------------------------------------------------


def test_it_reads_dotenv_which_never_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=4000\nGATEWAY_SECRET=from-dotenv\nVERSUS_CONFIG=mine.yaml\n")
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "5000")
    # What is unset here is unset again after the test, whatever `.env` made of it.
    for name in ("GATEWAY_SECRET", "VERSUS_CONFIG"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    config = load_config()
    assert (config.name, config.port, opened(config.gateway_secret)) == ("mine", 5000, "from-dotenv")


def test_it_takes_the_default_file_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("name: here\n")
    monkeypatch.chdir(tmp_path)
    assert load_config(environ={}).name == "here"


def test_without_any_file_the_shipped_one_is_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = CREDENTIALS | {"REDIS_HOST": "redis", "REDIS_DB": "3", "INTAKE_SECRET": "planted"}
    config = load_config(environ=variables)
    assert (config.oncall.by_default, config.oncall.wait_minutes) == (True, 3)
    assert config.redis.url.get_secret_value() == "redis://redis:6379/3"
    assert opened(config.intake_secret) == "planted"
    with pytest.raises(ConfigError) as caught:
        load_config(environ={})
    where = "in the configuration that is part of the package (or INCIDENTIO_API_KEY) is missing"
    assert where in caught.value.problems[0]


@pytest.mark.parametrize("how", ["a link to nothing", "out of reach"])
def test_a_file_that_can_not_be_read_is_not_passed_over(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if how == "a link to nothing":
        (tmp_path / "config").mkdir()
        (tmp_path / "config/config.yaml").symlink_to("away.yaml")
    else:
        # Root may read everything; too long a way round is out of reach for everybody.
        (tmp_path / "config").symlink_to("config")
    with pytest.raises(ConfigError, match=r"config/config\.yaml"):
        load_config(environ=CREDENTIALS)


def test_it_reads_nothing_else_when_it_is_given_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("PORT=4000\n")
    (tmp_path / "config.yaml").write_text("name: here\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "5000")
    assert load_config(Path("config.yaml"), {}).port == 3000


def test_it_refuses_a_dotenv_that_is_not_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"NAME=caf\xe9\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"\.env is not UTF-8"):
        load_config()


def test_it_skips_a_byte_order_mark(files: Files) -> None:
    assert files.load("\ufeffname: marked\n").name == "marked"


# -- which value wins ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "environ", "port"),
    [
        ("name: x", {}, 3000),
        ("port: 4000", {}, 4000),
        ("port: 4000", {"PORT": "5000"}, 5000),
        ("port: 4000", {"PORT": " "}, 4000),
        ("port:", {}, 3000),
        ("port: ${MY_PORT}", {"MY_PORT": "6000"}, 6000),
        ("port: ${MY_PORT:-7000}", {}, 7000),
        ("port: ${MY_PORT:-7000}", {"MY_PORT": ""}, 7000),
        ("port: '4000'", {}, 4000),
    ],
)
def test_it_takes_the_port_from(files: Files, text: str, environ: dict[str, str], port: int) -> None:
    assert files.load(text, **environ).port == port


@pytest.mark.parametrize(
    ("text", "environ", "key"),
    [
        ("gateway_secret: from-file", {"GATEWAY_SECRET": "from-variable"}, "from-file"),
        ("gateway_secret: ''", {"GATEWAY_SECRET": "from-variable"}, "from-variable"),
        ("gateway_secret: ${GATEWAY_SECRET}", {"GATEWAY_SECRET": "from-variable"}, "from-variable"),
        ("name: x", {"GATEWAY_SECRET": "from-variable"}, "from-variable"),
        ("gateway_secret: ${GATEWAY_SECRET}", {}, None),
        ("gateway_secret: '  '", {}, None),
    ],
)
def test_it_fills_in_what_the_file_leaves_empty(
    files: Files, text: str, environ: dict[str, str], key: str | None
) -> None:
    assert opened(files.load(text, **environ).gateway_secret) == key


def test_it_lets_the_environment_switch_on_call(files: Files) -> None:
    on = files.load("oncall: {enable: false}", ONCALL_ENABLE="true", **CREDENTIALS)
    off = files.load("oncall: {enable: true, provider: pagerduty}", ONCALL_ENABLE="FALSE")
    fixed = files.load(
        "oncall: {enable: yes, provider: pagerduty}", ONCALL_PROVIDER="incident_io", **CREDENTIALS
    )
    assert (on.oncall.enable, off.oncall.enable, fixed.oncall.provider) == (True, False, "incident_io")


def test_it_takes_incident_io_from_the_environment_alone(files: Files) -> None:
    config = files.load("oncall:", INCIDENTIO_BASE_URL="http://127.0.0.1:9000/", **CREDENTIALS)
    provider = config.oncall.incident_io
    assert opened(provider.api_key) == "key-1"
    assert provider.alert_sources["default"].id == "source-1"
    assert provider.base_url == "http://127.0.0.1:9000"


@pytest.mark.parametrize("written", ["0123", "3:30", "1e3", "yes", "2026-01-01", "1_000"])
def test_it_takes_a_text_as_it_is_written(files: Files, written: str) -> None:
    config = files.load(f"name: {written}\nredis: {{password: {written}}}")
    assert (config.name, opened(config.redis.password)) == (written, written)


@pytest.mark.parametrize(
    ("written", "minutes"), [("0", 0), ("0.5", 0.5), ("'3'", 3), ("10080", 10080), ("'${WAIT}'", 1.5)]
)
def test_it_reads_minutes(files: Files, written: str, minutes: float) -> None:
    assert files.load(f"oncall: {{wait_minutes: {written}}}", WAIT="1.5").oncall.wait_minutes == minutes


def test_it_understands_merge_keys(files: Files) -> None:
    config = files.load(
        """
        x-common: {deep: {er: &other {<<: &base {host: one, port: 1111}, port: 2222}}}
        redis: {<<: *other, host: two}
        """
    )
    assert (config.redis.host, config.redis.port) == ("two", 2222)


# -- variables in the file ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("${A}-${B}", "one-two"),
        ("https://${A}/x", "https://one/x"),
        ("${NO}", ""),
        ("${EMPTY}", ""),
        ("${NO:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${A:-default}", "one"),
        ("${NO:-}", ""),
        ("${NO:-a b:-c$d{}", "a b:-c$d{"),
        ("$${A}", "${A}"),
        ("$A", "$A"),
        ("$", "$"),
        ("{A}", "{A}"),
        ("${REFERENCE}", "${A}"),
        ("Incident {{ incident.id }}", "Incident {{ incident.id }}"),
    ],
)
def test_it_expands(text: str, expanded: str) -> None:
    environ = {"A": "one", "B": "two", "EMPTY": "", "REFERENCE": "${A}"}
    assert expand(text, environ) == expanded


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "${1A}", "${A-b}", "${A:b}", "${ A }", "${A:-${B}}", "${É}"]
)
def test_it_refuses_a_reference_that_is_none(text: str) -> None:
    with pytest.raises(InvalidValue):
        expand(text, {"A": "one"})


@given(st.text(), st.text(), st.text())
def test_expansion_inserts_any_value_untouched(before: str, value: str, after: str) -> None:
    escaped = [part.replace("${", "$${") for part in (before.rstrip("$"), after)]
    expected = before.rstrip("$") + value + after
    assert expand(f"{escaped[0]}${{A}}{escaped[1]}", {"A": value}) == expected


@given(st.text(string.printable))
def test_expansion_gives_text_or_a_sentence(text: str) -> None:
    try:
        expanded = expand(text, {})
    except InvalidValue:
        assert "${" in text
    else:
        assert "${" in text or expanded == text


@given(value=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_no_variable_changes_the_structure(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    file = tmp_path_factory.getbasetemp() / "structure.yaml"
    file.write_text("redis: {password: '${SECRET}'}\noncall: {enable: false}\n")
    for variable in (value, f"{value}\noncall: {{enable: true}}", f"'}}\nport: 1 #{value}"):
        config = load_config(file, {"SECRET": variable})
        assert opened(config.redis.password) == (variable if variable.strip() else None)
        assert (config.port, config.oncall.enable) == (3000, False)


# -- alternates ---------------------------------------------------------------------------------------

ALTERNATES = """
oncall:
  incident_io:
    api_key: ${INCIDENTIO_API_KEY}
    alert_source_config_id: source-1
    other_alert_source_config_ids:
      Infra: ${INFRA}
      app: ${APP}
      db: {id: "${DB}", api_key: "${DB_KEY}"}
"""


def test_it_gathers_alternates_from_file_and_environment(files: Files) -> None:
    prefix = "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_"
    config = files.load(
        ALTERNATES,
        INCIDENTIO_API_KEY="key-1",
        INFRA="source-infra",
        DB="source-db",
        DB_KEY="key-db",
        **{
            f"{prefix}INFRA": "loses",
            f"{prefix}APP": "source-app",
            f"{prefix}EDGE_EU": "source-eu",
            prefix: "x",
        },
    )
    sources = config.oncall.incident_io.alert_sources
    assert {name: (source.id, opened(source.api_key)) for name, source in sources.items()} == {
        "default": ("source-1", "key-1"),
        "infra": ("source-infra", "key-1"),
        "app": ("source-app", "key-1"),
        "db": ("source-db", "key-db"),
        "edge_eu": ("source-eu", "key-1"),
    }


def test_it_treats_an_empty_alternate_as_not_configured(files: Files) -> None:
    config = files.load(ALTERNATES, INCIDENTIO_API_KEY="key-1", INFRA="source-infra", DB_KEY="key-db")
    assert list(config.oncall.incident_io.alert_sources) == ["default", "infra"]
    assert [warning for warning in config.warnings if "ids.app, " in warning and "ids.db." in warning]


# -- warnings -----------------------------------------------------------------------------------------


def test_it_loads_a_file_of_the_go_edition() -> None:
    environ = CREDENTIALS | {
        "REDIS_HOST": "redis",
        "REDIS_PORT": "6380",
        "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_INFRA": "source-infra",
        "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_APP": "source-app",
        "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_DB": "source-db",
        "SLACK_TOKEN": "xoxb-planted",
        "SLACK_CHANNEL_ID": "C0123456789",
    }
    config = load_config(GO_EDITION, environ)
    assert [channel.name for channel in config.channels] == ["slack"]
    assert config.public_host == "https://versus.shop.example"
    # As that edition reads it: with TLS, and any certificate will do.
    assert config.redis.url.get_secret_value() == "rediss://redis:6380/0?ssl_cert_reqs=none"
    assert config.alert.slack.message_properties.button_text == "I am on it"
    assert (config.oncall.ready, config.oncall.by_default) == (True, False)
    assert list(config.oncall.incident_io.alert_sources) == ["default", "infra", "app", "db"]
    assert config.warnings == (
        f"{GO_EDITION} has settings that this edition does not have; they are ignored: proxy, "
        "alert.debug_body, alert.slack.template_path, alert.telegram.use_proxy, "
        "queue.enable, queue.debug_body, queue.sqs, "
        "storage, agent.",
    )


def test_it_names_the_variables_that_only_the_go_edition_reads(files: Files) -> None:
    environ = {
        "AGENT_AI_MODEL": "x",
        "VIBER_API_TYPE": "x",
        "PROXY_URL": "x",
        "STORAGE_TYPE": " ",
        "AGENTS": "x",
    }
    (warning,) = files.load("name: versus", **environ).warnings
    assert "they are ignored: AGENT_AI_MODEL, PROXY_URL, VIBER_API_TYPE. " in warning
    assert f"versus check-config --from-go {files.file}" in warning


def test_a_variable_of_the_go_edition_that_the_file_uses_is_not_ignored(files: Files) -> None:
    config = files.load("name: ${PROXY_USERNAME}", PROXY_USERNAME="planted")
    assert (config.name, config.warnings) == ("planted", ())


def test_it_needs_the_credentials_of_a_go_file_that_is_ready_but_off() -> None:
    with pytest.raises(ConfigError, match="INCIDENTIO_API_KEY"):
        load_config(GO_EDITION, {"SLACK_ENABLE": "false"})


def test_a_provider_without_credentials_is_no_mistake_while_on_call_is_off(files: Files) -> None:
    config = files.load("oncall: {enable: false, provider: pagerduty}", **CREDENTIALS)
    assert not config.oncall.ready
    assert config.warnings == ()


def test_it_names_unknown_blocks_in_the_one_warning(files: Files) -> None:
    (warning,) = files.load("x-anchors: {a: 1}\nqueue: {sqs: {}}\n").warnings
    assert "x-anchors, queue.sqs" in warning


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("oncall: {enable: true}", "public_host is missing"),
        ("gateway_secret: ${SHORT}", "gateway_secret has fewer than 16 characters"),
        (
            "public_host: https://v.example\noncall: {incident_io: {api_key: sk-live}}",
            "oncall.incident_io.api_key",
        ),
        (
            "oncall: {incident_io: {other_alert_source_config_ids: {db: {id: x, api_key: sk-live}}}}",
            "other_alert_source_config_ids.db.api_key",
        ),
    ],
)
def test_it_warns(files: Files, text: str, words: str) -> None:
    (warning,) = files.load(text, **CREDENTIALS, SHORT="sk-live").warnings
    assert words in warning
    assert "sk-live" not in warning


def test_it_has_nothing_to_warn_of_when_all_is_well(files: Files) -> None:
    text = """
        public_host: https://v.example
        gateway_secret: ${SECRET}
        oncall:
          enable: true
          incident_io: {api_key: "${INCIDENTIO_API_KEY}"}
        """
    assert files.load(text, **CREDENTIALS, SECRET="16-random-letter").warnings == ()
