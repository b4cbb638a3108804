"""The file, `${VAR}` and the environment become a `Config`, or sentences that name the wrong keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.block import Block
from config.channels import NAME
from config.document import ConfigError, environment, expand, read_document, variables
from config.go_edition import gone
from config.keys import (
    ALTERNATES,
    CHANNELS,
    LISTED,
    LISTS,
    NAMED,
    READ,
    RULES,
    SETTINGS,
    TEXTS,
    inner_block,
    is_secret,
    rule_path,
)
from config.nearest import nearest
from config.providers import DEFAULT
from config.rules import LONGEST_NAME
from config.schema import Config
from config.values import InvalidValue, Key
from config.warnings import Noted

DEFAULT_FILE = Path("config/config.yaml")
SHIPPED_FILE = Path(__file__).with_name("config.yaml")


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of this process. Raises `ConfigError`.

    `path`: the file; without it VERSUS_CONFIG, then `config/config.yaml`, then the one that is part of the
    package. `environ` stands for the environment; without it, that is the process's own, after `.env` of the
    working directory was added to it.
    """
    environ = environment() if environ is None else environ
    if path or environ.get("VERSUS_CONFIG"):
        return _Loading(path or Path(environ["VERSUS_CONFIG"]), environ).config()
    try:
        # Not `exists`: a file that is out of reach must not be passed over.
        DEFAULT_FILE.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _Loading(SHIPPED_FILE, environ, name="the configuration that is part of the package").config()
    except OSError:
        pass
    return _Loading(DEFAULT_FILE, environ).config()


@dataclass
class _Loading(Noted):
    """One load of a file."""

    problems: dict[Key, str] = field(default_factory=dict)
    """The first sentence for each key."""

    def config(self) -> Config:
        values = self._block(Config, read_document(self.file), ())
        self._fill_in(values)
        self._complete_alternates(values)
        config = self._validated(values)
        for key, text in config.unmet():
            self._problem(tuple(key.split(".")), text)
        if self.problems:
            raise ConfigError(*self.problems.values())
        return config.model_copy(update={"warnings": tuple(self.warnings(config))})

    # -- the file -------------------------------------------------------------------------------------

    def _block(self, block: type[Block], mapping: dict[Any, Any], path: Key) -> dict[str, Any]:
        """The block's values, expanded, without those that are empty."""
        values: dict[str, Any] = {}
        for name, value in mapping.items():
            key = (*path, str(name))
            if rule_path(key) not in SETTINGS:
                self._unknown(key, list(block.model_fields))
            elif value is None:
                continue
            elif inner := inner_block(block, name):
                if self._is_mapping(key, value):
                    values[name] = self._block(inner, value, key)
            elif key in ALTERNATES:
                if self._is_mapping(key, value):
                    values[name] = self._alternates(key, value)
            elif key in LISTED:
                values[name] = self._listed(key, value)
            elif rule_path(key) in READ:
                self._read(key, value, values)
            elif key in TEXTS:
                if self._is_mapping(key, value):
                    values[name] = {
                        str(n): self._text((*key, str(n)), text) for n, text in value.items() if text
                    }
            elif text := self._text(key, _joined(key, value)):
                values[name] = text
        return values

    def _listed(self, path: Key, value: object) -> dict[str, Any]:
        """The blocks of a list, by their place."""
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self._problem(path, _must_be(path))
            return {}
        self.called[path] = called = _called(value, any_name=path == RULES)
        blocks = {
            str(place): self._block(LISTED[path], one, (*path, str(place))) for place, one in enumerate(value)
        }
        if path == CHANNELS:
            self.empty_channels = [called[int(n)] for n, one in blocks.items() if "url" not in one]
        return blocks

    def _read(self, key: Key, value: object, values: dict[str, Any]) -> None:
        """A mapping that is one value, such as what a rule matches."""
        try:
            values[key[-1]] = READ[rule_path(key)](self._expanded(key, value))
        except InvalidValue as wrong:
            self._problem(key, str(wrong))

    def _expanded(self, key: Key, value: object) -> object:
        """With the texts of a mapping, and of the lists in it, expanded; what is no text stays as it is."""
        if isinstance(value, dict):
            return {name: self._patterns(key, inner) for name, inner in value.items()}
        return value

    def _patterns(self, key: Key, value: object) -> object:
        if isinstance(value, list):
            return [self._pattern(key, one) for one in value]
        return self._pattern(key, value)

    def _pattern(self, key: Key, value: object) -> object:
        if not isinstance(value, str) or not variables(value):
            return value
        # An empty pattern has a meaning of its own.
        text = self._text(key, value)
        if not text:
            raise InvalidValue(f"refers to {' and '.join(variables(value))}, which is not set")
        return text

    def _is_mapping(self, key: Key, value: object) -> bool:
        if isinstance(value, dict):
            return True
        # An empty text, or a variable that is not set: nothing is configured.
        if not isinstance(value, str) or self._text(key, value):
            self._problem(key, _must_be(key))
        return False

    def _text(self, key: Key, value: object) -> str:
        """A single value, expanded; empty when there is none."""
        if not isinstance(value, str):
            self._problem(key, _must_be(key))
            return ""
        try:
            text = expand(value, self.environ)
        except InvalidValue as wrong:
            self._problem(key, str(wrong))
            return ""
        names = variables(value)
        self.variables.setdefault(key, []).extend(names)
        if text.strip() and not names and is_secret(key, text):
            self.literal_keys.append(key)
        return text if text.strip() else ""

    def _unknown(self, key: Key, known: list[str]) -> None:
        if gone(key):
            self.ignored.append(".".join(key))
            return
        likely = nearest(key)
        if likely:
            self._problem(key, f"is not a setting: did you mean {'.'.join(self.shown(likely))}?")
        elif len(key) == 1:
            self.ignored.append(key[0])
        else:
            self._problem(key, f"is not a setting: {'.'.join(key[:-1])} has {', '.join(known)}")

    # -- alternates -----------------------------------------------------------------------------------

    def _alternates(self, path: Key, mapping: dict[Any, Any]) -> dict[str, Any]:
        alternates: dict[str, Any] = {}
        for given, value in mapping.items():
            name = str(given).lower()
            key = (*path, name)
            if name in alternates:
                self._problem(key, "is there twice, as names are compared in lower case: remove one")
            if not name.strip() or not name.isprintable():
                self._problem(path, "has a name that is blank or has control characters: fix it")
            alternates[name] = self._block(
                NAMED[path], value if isinstance(value, dict) else {"id": value}, key
            )
        return alternates

    def _complete_alternates(self, values: dict[str, Any]) -> None:
        """Those that only the environment names are added, those without an ID removed."""
        for path, (prefix, own_key) in ALTERNATES.items():
            alternates = values
            for part in path:
                alternates = alternates.setdefault(part, {})
            self._add_from_environment(path, prefix, alternates)
            if DEFAULT in alternates:
                self._problem((*path, DEFAULT), f"has a name that is taken by {own_key}: choose another name")
            for name in [name for name, alternate in alternates.items() if "id" not in alternate]:
                self.empty_alternates.append((*path, name))
                del alternates[name]

    def _add_from_environment(self, path: Key, prefix: str, alternates: dict[str, Any]) -> None:
        for variable in sorted(self.environ):
            name = variable.removeprefix(prefix).lower()
            if variable.startswith(prefix) and name and self.environ[variable].strip():
                self.variables.setdefault((*path, name), []).append(variable)
                alternates.setdefault(name, {}).setdefault("id", self.environ[variable])

    # -- the environment, the checks ------------------------------------------------------------------

    def _fill_in(self, values: dict[str, Any]) -> None:
        """A key's own variable overrides what the file has for it, or fills in what the file leaves empty."""
        for (*path, name), setting in SETTINGS.items():
            value = self.environ.get(setting.variable or "", "")
            if not value.strip():
                continue
            block = values
            for part in path:
                block = block.setdefault(part, {})
            if setting.variable_wins or name not in block:
                block[name] = value

    def _validated(self, values: dict[str, Any]) -> Config:
        try:
            return Config.model_validate(values)
        except ValidationError as error:
            mistakes = error.errors(include_url=False, include_input=False)
        for mistake in mistakes:
            # Not a mistake: pydantic makes no default from parts that are wrong.
            if mistake["type"] != "default_factory_not_called":
                self._note_mistake(mistake, values)
        # Without the wrong values, so that the other checks find their mistakes in the same run.
        return Config.model_validate(values)

    def _note_mistake(self, mistake: ErrorDetails, values: dict[str, Any]) -> None:
        key = tuple(str(part) for part in mistake["loc"])
        while rule_path(key) not in SETTINGS:
            # One entry of a list.
            key = key[:-1]
        reason = mistake.get("ctx", {}).get("error")
        detail = str(reason) if isinstance(reason, InvalidValue) else ""
        self._problem(key, _must_be(key) + (f" ({detail})" if detail else ""))
        # Of what is named, the whole entry: it may be nothing without this key.
        *path, last = next((key[: len(named) + 1] for named in NAMED if key[: len(named)] == named), key)
        for part in path:
            values = values[part]
        values.pop(last, None)

    # -- sentences ------------------------------------------------------------------------------------

    def _problem(self, key: Key, text: str) -> None:
        setting = SETTINGS.get(rule_path(key))
        own = [setting.variable] if setting and setting.variable else []
        shown = self.shown(key)
        keys = (key, shown, (*shown, "id"))
        variables = dict.fromkeys([*own, *(name for one in keys for name in self.variables.get(one, []))])
        where = f"{self.name} (or {', '.join(variables)})" if variables else self.name
        end = "" if text.endswith("?") else "."
        self.problems.setdefault(shown, f"{'.'.join(shown)} in {where} {text}{end}")


def _called(entries: list[dict[Any, Any]], *, any_name: bool) -> list[str]:
    """Their names, and the place in the list for those that have none of their own.

    `any_name`: a name may be any text, which then stands in quotes.
    """
    names = [str(one.get("name", "")) for one in entries]
    return [
        f"#{place}"
        if names.count(name) > 1 or not (NAME.fullmatch(name) or (any_name and name.isprintable() and name))
        else name
        if NAME.fullmatch(name)
        else repr(name[:LONGEST_NAME])
        for place, name in enumerate(names, 1)
    ]


def _joined(key: Key, value: object) -> object:
    """A list of texts as one text, as a variable would hold it."""
    texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return ",".join(value) if texts and rule_path(key) in LISTS and isinstance(value, list) else value


def _must_be(key: Key) -> str:
    return f"must be {SETTINGS[rule_path(key)].right}"
