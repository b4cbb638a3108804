"""What Heroku's classic Python buildpack (v351) asks of a repository, and what app.json promises."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from config.keys import SETTINGS
from local.processes import ROOT, procfile
from tests.clone import clone
from tests.test_requirements import locked

# lib/package_manager.sh: exactly one of these, and no Pipfile without its lock.
PACKAGE_MANAGERS = ("Pipfile.lock", "requirements.txt", "poetry.lock", "uv.lock")
# lib/python_version.sh and lib/checks.sh.
SUPPORTED = range(10, 15)
REFUSED = ("Pipfile", "runtime.txt", ".venv", "venv", ".heroku", "bin/pre_compile", "bin/post_compile")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("clone"))


def test_there_is_exactly_one_package_managers_file(repository: Path) -> None:
    found = [name for name in PACKAGE_MANAGERS if (repository / name).exists()]
    assert found == ["requirements.txt"]


@pytest.mark.parametrize("name", REFUSED)
def test_there_is_nothing_that_it_refuses_or_warns_of(repository: Path, name: str) -> None:
    assert not (repository / name).exists()


def test_the_python_version_is_a_supported_one_that_setup_cfg_allows(repository: Path) -> None:
    text = (repository / ".python-version").read_text()
    # The minor version alone: a patch version would keep security updates out.
    match = re.fullmatch(r"3\.([1-9]\d*)\n", text)
    assert match
    assert int(match[1]) in SUPPORTED
    [allowed] = re.findall(r"python_requires = (.*)", (repository / "setup.cfg").read_text())
    assert SpecifierSet(allowed).contains(text.strip())


def test_no_name_is_misspelt(repository: Path) -> None:
    near = [
        one.name for one in repository.iterdir() if re.search(r"python.?version|req\w*ments", one.name, re.I)
    ]
    assert sorted(near) == [".python-version", "requirements.txt"]


def test_the_build_system_is_all_that_pyproject_toml_says(repository: Path) -> None:
    # With a [project] or a tool's table other package managers would take the repository for theirs.
    assert re.findall(r"^\[.*\]$", (repository / "pyproject.toml").read_text(), re.M) == ["[build-system]"]


def test_every_program_of_the_procfile_comes_from_what_is_pinned() -> None:
    programs = {
        line.split()[0] for line in (ROOT / "Procfile").read_text().replace(": ", ":\n").splitlines()[1::2]
    }
    assert programs == {"versus", "gunicorn", "celery"}
    assert programs - {"versus"} <= set(locked())


# -- app.json -----------------------------------------------------------------------------------------------


@pytest.fixture
def app() -> dict[str, dict[str, dict[str, str]]]:
    app: dict[str, dict[str, dict[str, str]]] = json.loads((ROOT / "app.json").read_text())
    return app


def test_every_process_is_started(app: dict[str, dict[str, dict[str, str]]]) -> None:
    assert set(app["formation"]) == set(procfile())
    assert all(one["quantity"] for one in app["formation"].values())


def test_every_variable_is_a_setting_and_described(app: dict[str, dict[str, dict[str, str]]]) -> None:
    known = {setting.variable for setting in SETTINGS.values()}
    for name, about in app["env"].items():
        assert name in known
        assert about["description"].endswith(".")


def test_what_has_no_default_is_asked_for(app: dict[str, dict[str, dict[str, str]]]) -> None:
    asked = {
        name for name, about in app["env"].items() if not {"value", "generator", "required"} & about.keys()
    }
    assert asked == {"INCIDENTIO_API_KEY", "INCIDENTIO_ALERT_SOURCE_CONFIG_ID"}
    assert app["env"]["GATEWAY_SECRET"]["generator"] == "secret"
    # The add-on sets REDIS_URL.
    assert [one["as"] for one in app["addons"]] == ["REDIS"]  # type: ignore[index]
