"""The configuration file as nested mappings of text, and the `${VAR}` and `${VAR:-default}` in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from dotenv import load_dotenv

from config.values import InvalidValue


class ConfigError(Exception):
    """The configuration can't be used; `problems` has one sentence for each mistake, free of secrets."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class DuplicateKey(yaml.MarkedYAMLError):
    """A mapping has one key twice; YAML itself would silently take the last."""


class TextLoader(yaml.SafeLoader):
    """YAML whose scalars all stay text, except null.

    The schema knows which key is a number. YAML only guesses, and would read the wait `3:30` as 210 and the
    password `0123` as 83. Raises `DuplicateKey` besides what YAML's own loader raises.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here and not when it is constructed: by then merge keys (`<<`) have added theirs.
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise DuplicateKey(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node


_KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
TextLoader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in ("map", "seq", "str", "null")
}


def environment(file: Path = Path(".env")) -> Mapping[str, str]:
    """The process's own, after `.env` of the working directory was added to it. Raises `ConfigError`."""
    try:
        load_dotenv(file, override=False)
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8: save the file as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{file} can't be read ({error.strerror}): make it readable.") from None
    return os.environ


def read_document(file: Path) -> dict[Any, Any]:
    """The mapping that the file holds. Raises `ConfigError`."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {file}: create it, or set VERSUS_CONFIG to the path of yours."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The configuration file {file} can't be read ({error.strerror}): "
            "make it readable, or set VERSUS_CONFIG to the path of yours."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 at byte {error.start}: save the file as UTF-8.") from None
    document = _parsed(file, text)
    if not isinstance(document, dict):
        found = "is empty" if document is None else "is not a mapping"
        raise ConfigError(f"{file} {found}: it must hold settings such as `name: versus`, one a line.")
    return document


def _parsed(file: Path, text: str) -> Any:
    try:
        return TextLoader(text).get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        sentence = f"{file}, line {line}, column {column}: a control character is not allowed: remove it."
    except DuplicateKey as error:
        sentence = f"{file}{_place(error)}: {error.problem}: remove one."
    except yaml.MarkedYAMLError as error:
        sentence = f"{file}{_place(error)}: this is not valid YAML ({_reason(error)}): fix it; a value that "
        sentence += "starts with one of * & ! % @ ` or holds a colon and a space belongs in quotes."
    except RecursionError:
        sentence = f"{file} is nested too deeply: settings are at most five levels deep."
    # Raised here, where nothing is chained: PyYAML's own message quotes the line, secrets and all.
    raise ConfigError(sentence)


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _reason(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's words without what they quote: an unquoted password `*abc` is an "undefined alias 'abc'"."""
    words = str(error.problem or error.context or "").replace("\n", " ")
    return re.sub(r"""(['"])(.*?)\1""", _masked, words)


def _masked(quoted: re.Match[str]) -> str:
    # One character, and the name of a token (`<block end>`), give nothing away.
    return quoted[0] if len(quoted[2]) == 1 or quoted[2].startswith("<") else "…"


# `$${` is a literal `${`; a `${` that begins no reference is a mistake.
_REFERENCE = re.compile(
    r"\$(?P<literal>\$\{)|\$\{(?P<name>[A-Za-z_]\w*)(:-(?P<default>((?!\$\{)[^}])*))?\}|(?P<wrong>\$\{)",
    re.ASCII,
)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """The text with each `${VAR}` and `${VAR:-default}` replaced, once; an unset variable is empty.

    Raises `InvalidValue` for a `${` that begins neither.
    """

    def replaced(match: re.Match[str]) -> str:
        if match["wrong"]:
            raise InvalidValue(
                "has a ${ that begins neither ${VAR} nor ${VAR:-default}: "
                "fix it, or write $${ for a literal ${"
            )
        if match["literal"]:
            return match["literal"]
        return environ.get(match["name"], "") or match["default"] or ""

    return _REFERENCE.sub(replaced, text)


def variables(text: str) -> list[str]:
    """The names of those that it refers to."""
    return [match["name"] for match in _REFERENCE.finditer(text) if match["name"]]
