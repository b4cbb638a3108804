"""`versus check-config --from-go`: every key and variable of the Go edition is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from config.go_edition import GONE, VARIABLES
from config.go_review import review
from config.keys import ALTERNATES, SETTINGS

GO_EDITION = Path(__file__).parent / "go_edition.yaml"
# What the Go edition reads by itself (its pkg/config/config.go), and what its own configuration refers to.
GO_VARIABLES = (Path(__file__).parent / "go_variables.txt").read_text().split()


def fates(text: str, tmp_path: Path, **environ: str) -> dict[str, str]:
    file = tmp_path / "go.yaml"
    file.write_text(text)
    return {name: advice.fate for name, advice in review(file, environ)}


def test_every_key_of_a_whole_file_is_accounted_for() -> None:
    found = dict(review(GO_EDITION, {}))
    assert found["alert.slack.message_properties.button_text"].fate == "kept"
    assert found["redis.insecure_skip_verify"].fate == "kept"
    assert found["queue.sns.topic_arn"].fate == "kept"
    assert found["agent"].fate == found["storage"].fate == "gone"
    assert found["proxy"].fate == "renamed"
    template = found["alert.slack.template_path (config/slack_message.tmpl)"]
    assert "`template` of an entry in alert.channels" in template.text
    assert "unknown" not in {advice.fate for advice in found.values()}


def test_what_is_not_kept_says_what_to_do() -> None:
    for name, advice in review(GO_EDITION, dict.fromkeys(GO_VARIABLES, "x")):
        assert (advice.fate == "kept") == (not advice.text), name


def test_every_variable_is_read_here_or_named() -> None:
    own = {setting.variable for setting in SETTINGS.values()}
    named = {name for name, _ in review(GO_EDITION, dict.fromkeys(GO_VARIABLES, "x"))} & set(GO_VARIABLES)
    alternates = {name for name in GO_VARIABLES if name.startswith(tuple(p for p, _ in ALTERNATES.values()))}
    assert named | own | alternates >= set(GO_VARIABLES)
    assert not named & own


def test_a_key_that_this_edition_has_is_not_called_gone() -> None:
    assert not {".".join(key) for key in SETTINGS} & set(GONE)
    assert not {setting.variable for setting in SETTINGS.values()} & set(VARIABLES)


@pytest.mark.parametrize(
    ("text", "environ", "fate"),
    [
        ("redis: {host: redis}", {}, "changed"),
        ("redis: {host: redis, tls: 'false'}", {}, "kept"),
        ("redis: {host: redis}", {"REDIS_TLS": "true"}, None),
        ("redis: {host: redis, insecure_skip_verify: 'true'}", {}, None),
    ],
)
def test_a_connection_without_tls_is_never_a_surprise(
    text: str, environ: dict[str, str], fate: str | None, tmp_path: Path
) -> None:
    assert fates(text, tmp_path, **environ).get("redis.tls") == fate


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("oncall: {enable: true}", "changed"),
        ("oncall: {provider: incident_io}", "kept"),
        ("oncall: {provider: servicenow}", "kept"),
    ],
)
def test_the_provider_is_not_changed_in_silence(text: str, fate: str, tmp_path: Path) -> None:
    assert fates(text, tmp_path)["oncall.provider"] == fate


def test_a_variable_without_braces_and_a_key_of_neither_are_named(tmp_path: Path) -> None:
    found = fates("gateway_secret: $GATEWAY_SECRET\nname: ${NAME}\nnonsense: 1\n", tmp_path)
    assert found == {"gateway_secret": "changed", "name": "kept", "nonsense": "unknown"}


def test_the_command_needs_no_configuration_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERSUS_CONFIG", "away.yaml")
    monkeypatch.setenv("PROXY_PASSWORD", "planted-secret")
    assert main(["check-config", "--from-go", str(GO_EDITION)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "renamed        PROXY_PASSWORD: set HTTPS_PROXY" in out
    assert "planted-secret" not in out
    assert f"versus check-config --config {GO_EDITION}" in out
    assert main(["check-config", "--json", "--from-go", str(GO_EDITION)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"name": "name", "fate": "kept", "text": ""} in lines
    assert main(["check-config", "--from-go", "away.yaml"]) == 2
    assert "away.yaml" in capsys.readouterr().err
