"""Where people are told: the channels of the configuration, and who is told what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.channels.channel import Channel, Message, Summary, Told
from app.incident import Incident
from app.notice import News, channel_of, news
from config import ChannelSettings

__all__ = ["Channel", "Channels", "Message", "Summary", "Told", "UnknownChannel"]


class UnknownChannel(ValueError):
    """No channel has the name that was asked for; the text lists the names that exist."""


class Channels:
    """The channels of this configuration."""

    def __init__(self, settings: Iterable[ChannelSettings], made: Mapping[str, Channel]) -> None:
        self._settings = {one.name: one for one in settings}
        self._made = made

    def targets(self, before: Incident | None, after: Incident) -> Iterator[tuple[str, News]]:
        """Whom to tell what of this change."""
        for piece in news(before, after) if self._settings else ():
            wanted = self._wanted(after)
            if piece == "failed":
                # Nobody was paged, so whoever may read it shall.
                wanted = list(dict.fromkeys([*wanted, *self._settings]))
            for target in wanted:
                if piece == "failed" or self._wants(target, piece, after):
                    yield target, piece

    def channel(self, target: str) -> tuple[Channel, str | None] | None:
        """The channel of a target and the address to use instead of its own; None for one that is gone."""
        name, _, address = target.partition(">")
        made = self._made.get(name)
        return None if made is None else (made, address or None)

    def asked(self, names: Sequence[str]) -> tuple[str, ...]:
        """The targets of channels that a request named. Raises `UnknownChannel`."""
        wanted = tuple(dict.fromkeys(name.strip().lower() for name in names if name.strip()))
        for name in wanted:
            if name not in self._settings:
                known = ", ".join(self._settings) or "none, as none is configured"
                raise UnknownChannel(f"There is no channel {name[:100]!r}: the names are {known}.")
        return wanted

    def addressed(self, service: str, address: str) -> str:
        """The target of another address of this service's channel. Raises `UnknownChannel`."""
        names = [name for name, one in self._settings.items() if one.service == service]
        if not names:
            raise UnknownChannel(f"There is no {service} channel that could take another address.")
        return f"{service if service in names else names[0]}>{address}"

    @property
    def default(self) -> tuple[str, ...]:
        """The channels that are told when a request names none."""
        return tuple(name for name, settings in self._settings.items() if settings.default)

    def _wanted(self, incident: Incident) -> list[str]:
        if incident.channels is not None:
            return list(incident.channels)
        return list(self.default)

    def _wants(self, target: str, piece: News, incident: Incident) -> bool:
        settings = self._settings.get(channel_of(target))
        return settings is not None and settings.wants(piece, incident.severity)
