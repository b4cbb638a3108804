"""A small file per mistake: its comments hold the environment and the sentences that it must bring."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from config import ConfigError, load_config

MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))
SECRET = "hunter22"


def comments(text: str, kind: str) -> list[str]:
    start = f"# {kind}"
    return [line.removeprefix(start).strip("\n") for line in text.split("\n") if line.startswith(start)]


@pytest.mark.parametrize("file", MISTAKES, ids=lambda file: file.stem)
def test_it_says_what_is_wrong_and_what_would_be_right(file: Path) -> None:
    text = file.read_text()
    environ = dict(variable.split("=", 1) for variable in comments(text, "with "))
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ)
    assert [problem.replace(str(file), "FILE") for problem in caught.value.problems] == comments(
        text, "must say: "
    )
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_it_names_the_variable_of_a_file_that_does_not_exist(tmp_path: Path) -> None:
    missing = tmp_path / "no.yaml"
    with pytest.raises(ConfigError, match="VERSUS_CONFIG") as caught:
        load_config(environ={"VERSUS_CONFIG": str(missing)})
    assert str(missing) in str(caught.value)


def test_it_refuses_a_directory_as_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(tmp_path, {})


def test_it_refuses_what_is_not_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8 at byte 9: save the file as UTF-8"):
        load_config(file, {})


def test_it_survives_nesting_without_end(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("name: " + "[" * 20_000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_config(file, {})


def test_it_survives_aliases_that_multiply(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    file = tmp_path / "config.yaml"
    file.write_text("\n".join([*levels, "name: *a29", "oncall: *a29", "redis: {host: *a29}"]))
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert [problem.split()[0] for problem in caught.value.problems] == ["name", "oncall", "redis.host"]


def test_it_survives_a_mapping_that_holds_itself(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("oncall: &oncall\n  incident_io: *oncall\n")
    with pytest.raises(ConfigError, match=r"oncall\.incident_io\.incident_io in .* is not a setting"):
        load_config(file, {})


def test_every_yaml_error_hides_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for value in (
        "*{}",
        "!{} x",
        "&{} &{} x",
        '"\\{}"',
        "@{}",
        "`{}",
        "{}: {}: x",
        "'{}",
        "%{}",
        "!!{} x",
        "[{}",
    ):
        file.write_text(f"redis:\n  password: {value.replace('{}', SECRET)}\n")
        with pytest.raises(ConfigError) as caught:
            load_config(file, {})
        assert SECRET not in "".join(traceback.format_exception(caught.value)), value
