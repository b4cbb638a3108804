"""What is noted while the configuration is loaded, and what of it is worth a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.go_edition import go_variables
from config.keys import ALTERNATES, SETTINGS
from config.schema import Config
from config.values import Key

SHORTEST_SECRET = 16
"""Characters of a gateway secret, below which there is a warning: it signs links, which strangers may try."""

OWN_VARIABLES = frozenset(setting.variable for setting in SETTINGS.values() if setting.variable)


@dataclass
class Noted:
    """What was noted while a file was loaded."""

    file: Path
    environ: Mapping[str, str]
    name: str = ""
    """What the file is called in sentences."""
    variables: dict[Key, list[str]] = field(default_factory=dict)
    """The environment variables that may have set a key."""
    ignored: list[str] = field(default_factory=list)
    literal_keys: list[Key] = field(default_factory=list)
    empty_alternates: list[Key] = field(default_factory=list)
    called: dict[Key, list[str]] = field(default_factory=dict)
    """What each entry of a list is called in sentences."""
    empty_channels: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name or str(self.file)

    def shown(self, key: Key) -> Key:
        """The key as people look for it in the file."""
        if (called := self.called.get(key[:2])) and len(key) > 2:
            return (*key[:2], called[int(key[2])], *key[3:])
        # An alternate is mostly written `name: id`, so its ID goes by its name.
        return key[:-1] if key[:-2] in ALTERNATES and key[-1] == "id" else key

    def warnings(self, config: Config) -> Iterator[str]:
        """What works, but probably not as meant; sentences for people."""
        oncall = config.oncall
        if self.ignored:
            names = ", ".join(self.ignored)
            yield f"{self.name} has settings that this edition does not have; they are ignored: {names}."
        known = frozenset(name for names in self.variables.values() for name in names) | OWN_VARIABLES
        if go_only := [name for name, _ in go_variables(self.environ, known)]:
            yield (
                "The environment has variables that the Go edition alone reads; they are ignored: "
                f"{', '.join(go_only)}. What to do instead: versus check-config --from-go {self.file}"
            )
        if unused := config.redis.unused:
            yield (
                f"redis.{' and redis.'.join(unused)}: without effect, as the address of Redis asks for no "
                "TLS: write rediss:// in it, or set redis.tls (REDIS_TLS) to true."
            )
        if (oncall.wanted or config.channels) and config.public_host is None:
            what = "on-call is on: links in pages" if oncall.wanted else "channels are on: links in messages"
            yield (
                f"public_host is missing in {self.name} (or PUBLIC_HOST) while {what} lead to "
                f"{config.public_base}, so set it to the address that people reach this service at."
            )
        secret = config.gateway_secret
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET:
            yield (
                f"gateway_secret has fewer than {SHORTEST_SECRET} characters, so it can be guessed, also "
                "from what it signs, such as links: make a random one, with openssl rand -hex 32."
            )
        if self.empty_channels:
            yield (
                f"alert.channels in {self.name} has channels without a url, which are treated as not "
                f"configured: {', '.join(self.empty_channels)}."
            )
        empty = [key for key in self.empty_alternates if key[1] == oncall.provider]
        if empty and (oncall.wanted or oncall.ready):
            keys = ", ".join(map(".".join, empty))
            yield f"{self.name} has names without a value, which are treated as not configured: {keys}."
        if self.literal_keys:
            keys = ", ".join(".".join(self.shown(key)) for key in self.literal_keys)
            yield (
                f"{self.name} holds a secret itself in {keys}: "
                "put it into an environment variable and write ${VARIABLE} here."
            )
