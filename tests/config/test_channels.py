"""The channels of a configuration: those of the list, those of the Go edition's blocks, and their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from config import ChannelSettings, Config, load_config

TEAMS = (
    "https://prod-00.westeurope.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64/triggers/"
    "manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu"
)
LARK = "https://open.larksuite.com/open-apis/bot/v2/hook/abcdef12-abcd-1234-abcd-abcdef123456"


def load(folder: Path, text: str, **environ: str) -> Config:
    file = folder / "config.yaml"
    file.write_text("public_host: https://versus.example.com\n" + text)
    return load_config(file, environ)


def made(config: Config) -> list[tuple[str, str, bool]]:
    return [(one.name, one.url.get_secret_value(), one.default) for one in config.channels]


# -- blocks of the Go edition ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "environ", "channels"),
    [
        (
            "slack: {token: '${SLACK_TOKEN}'}",
            {"SLACK_ENABLE": "true", "SLACK_TOKEN": "xoxb-1-a", "SLACK_CHANNEL_ID": "C0123456789"},
            [("slack", "slack://xoxb-1-a/C0123456789", True)],
        ),
        (
            "slack: {enable: true, channel_id: '#ops'}",
            {"SLACK_TOKEN": "xoxb-1-a"},
            [("slack", "slack://xoxb-1-a/%23ops", True)],
        ),
        (
            "telegram: {enable: true}",
            {"TELEGRAM_BOT_TOKEN": "123456789:abcdefg_hijklmnop", "TELEGRAM_CHAT_ID": "-1001234567890"},
            [("telegram", "tgram://123456789:abcdefg_hijklmnop/-1001234567890/", True)],
        ),
        (
            "email: {enable: true, smtp_host: mail.example.com, to: 'a@example.com,b@example.com'}",
            {"SMTP_USERNAME": "versus@example.com", "SMTP_PASSWORD": "p@ss/word"},
            [
                (
                    "email",
                    "mailtos://versus%40example.com:p%40ss%2Fword@mail.example.com:587?from=versus%40example.com"
                    "&to=a%40example.com,b%40example.com&smtp=mail.example.com&mode=starttls",
                    True,
                )
            ],
        ),
        (
            "email: {enable: true, smtp_host: mail.example.com, smtp_port: 465, to: a@example.com}",
            {},
            [
                (
                    "email",
                    "mailtos://mail.example.com:465?from=versus%40mail.example.com&to=a%40example.com"
                    "&smtp=mail.example.com&mode=ssl",
                    True,
                )
            ],
        ),
        (
            "email: {enable: true, smtp_host: localhost, smtp_port: 25, to: a@example.com}",
            {},
            [("email", "mailto://localhost:25?from=versus%40localhost&to=a%40example.com", True)],
        ),
        (
            "email: {enable: true, smtp_host: 127.0.0.1, smtp_port: 25, to: 'a@example.com,b@example.org'}",
            {},
            [
                (
                    "email",
                    "mailto://127.0.0.1:25?from=versus%40example.com&to=a%40example.com,b%40example.org",
                    True,
                )
            ],
        ),
        (
            "msteams: {enable: true, other_power_urls: {QC: '${TEAMS_QC}', unset: '${NOTHING}'}}",
            {"MSTEAMS_POWER_AUTOMATE_URL": TEAMS, "TEAMS_QC": TEAMS + "x"},
            [("msteams", TEAMS, True), ("msteams-qc", TEAMS + "x", False)],
        ),
        (
            "lark: {enable: true, other_webhook_urls: {dev: '${LARK_DEV}'}}",
            {"LARK_WEBHOOK_URL": LARK, "LARK_DEV": LARK + "7"},
            [("lark", LARK, True), ("lark-dev", LARK + "7", False)],
        ),
        ("lark: {enable: true}", {"LARK_ENABLE": "false"}, []),
    ],
)
def test_a_block_of_the_go_edition_is_a_channel(
    tmp_path: Path, block: str, environ: dict[str, str], channels: list[tuple[str, str, bool]]
) -> None:
    assert made(load(tmp_path, f"alert:\n  {block}\n", **environ)) == channels


def test_blocks_and_list_go_together(tmp_path: Path) -> None:
    text = """
alert:
  channels:
    - name: Ops
      url: json://localhost/x
      events: created,failed
      min_severity: High
      default: no
  slack: {enable: true, token: "${T}", channel_id: C1}
"""
    listed, slack = load(tmp_path, text, T="xoxb-1-a").channels
    assert (listed.name, listed.events, listed.min_severity, listed.default) == (
        "ops",
        ("created", "failed"),
        "high",
        False,
    )
    assert (slack.name, slack.service, slack.default) == ("slack", "slack", True)


# -- warnings -------------------------------------------------------------------------------------------


def test_a_channel_without_a_url_is_not_configured_and_told_of(tmp_path: Path) -> None:
    text = "alert: {channels: [{name: ops, url: '${UNSET}'}, {name: night, url: 'json://localhost/x'}]}\n"
    config = load(tmp_path, text)
    assert [one.name for one in config.channels] == ["night"]
    [warning] = config.warnings
    assert warning.endswith("channels without a url, which are treated as not configured: ops.")


@pytest.mark.parametrize(
    ("alert", "named"),
    [
        ("channels: [{name: ops, url: 'json://user:hunter22@localhost/x'}]", "alert.channels.ops.url"),
        (
            "channels: [{name: ops, url: 'ntfy://hunter22secret@ntfy.example.com/ops'}]",
            "alert.channels.ops.url",
        ),
        ("channels: [{name: ops, url: 'slack://xoxb-1-hunter22/C1'}]", "alert.channels.ops.url"),
        ("channels: [{name: ops, url: 'tgram://123456789:abcdefg_hunter22/1'}]", "alert.channels.ops.url"),
        (f"channels: [{{name: ops, url: '{LARK}'}}]", "alert.channels.ops.url"),
        ("slack: {enable: true, token: xoxb-1-hunter22, channel_id: C1}", "alert.slack.token"),
        ("slack: {signing_secret: hunter22}", "alert.slack.signing_secret"),
        ("email: {password: hunter22}", "alert.email.password"),
        (f"msteams: {{other_power_urls: {{qc: '{TEAMS}'}}}}", "alert.msteams.other_power_urls.qc"),
    ],
)
def test_a_secret_in_the_file_itself_is_worth_a_warning(tmp_path: Path, alert: str, named: str) -> None:
    [warning] = load(tmp_path, f"alert:\n  {alert}\n").warnings
    assert f"holds a secret itself in {named}:" in warning
    assert "hunter22" not in warning


@pytest.mark.parametrize(
    "url",
    [
        "ntfy://ntfy.example.com/operations",
        "json://localhost:8080/incidents",
        "mailto://mail.example.com?from=v@b.example&to=a@b.example",
    ],
)
def test_an_address_without_a_secret_is_not(tmp_path: Path, url: str) -> None:
    config = load(tmp_path, f"alert: {{channels: [{{name: ops, url: '{url}'}}]}}\n")
    assert config.warnings == ()
    # So no log line loses a word to it, besides the whole address.
    assert list(config.channels[0].secrets()) == [url]


# -- secrets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("json://user:p%40ssword1@host.example.com/x", {"p%40ssword1", "p@ssword1"}),
        ("tgram://123456789:abcdefg_hijk/1", {"123456789:abcdefg_hijk"}),
        ("slack://xoxb-1234-abcd/C1", {"xoxb-1234-abcd"}),
        ("ntfy://tk_abcdefgh1@ntfy.example.com/ops", {"tk_abcdefgh1"}),
        ("gotifys://push.example.com/AbCdEfGh1234567", {"AbCdEfGh1234567"}),
        (TEAMS, {"643e69f83c8944438d68119179a10a64", "KODuebWbDGYFr0z0eu"}),
        (LARK, {"abcdef12-abcd-1234-abcd-abcdef123456"}),
    ],
)
def test_the_secrets_of_an_address_are_known(url: str, secrets: set[str]) -> None:
    assert secrets | {url} <= set(ChannelSettings("ops", SecretStr(url)).secrets())
