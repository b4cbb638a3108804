"""Where people are notified: the channels of the configuration, and what each wants to know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.destinations.base import Channel
from app.domain.delivery import Destination
from app.domain.subscription import Subscription
from config import ChannelSettings, Config


class UnknownChannel(ValueError):
    """No channel has the name that was asked for; the text lists the names that exist."""


class Channels:
    """The channels of this configuration."""

    def __init__(self, settings: Iterable[ChannelSettings], made: Mapping[str, Channel]) -> None:
        self._settings = {one.name: one for one in settings}
        self._made = made

    def subscriptions(self, asked: Sequence[Destination] | None = None) -> tuple[Subscription, ...]:
        """Who is notified of an incident, and of what; `asked`: in place of the default channels.

        If the page fails, every channel is: who may read it matters less than that somebody does.
        """
        wanted = self.default if asked is None else asked
        others = [name for name in self._settings if name not in wanted]
        return (
            *(
                Subscription(one, settings.events, settings.min_severity)
                for one in wanted
                if (settings := self._settings.get(one.name))
            ),
            *(Subscription(Destination(name), ("failed",)) for name in others),
        )

    def channel(self, destination: Destination) -> tuple[Channel, str | None] | None:
        """The channel, and the address to use instead of its own; None for one that is gone."""
        made = self._made.get(destination.name)
        return None if made is None else (made, destination.address)

    def asked(self, names: Sequence[str]) -> tuple[Destination, ...]:
        """The channels that a request named. Raises `UnknownChannel`."""
        wanted = tuple(dict.fromkeys(name.strip().lower() for name in names if name.strip()))
        for name in wanted:
            if name not in self._settings:
                known = ", ".join(self._settings) or "none, as none is configured"
                raise UnknownChannel(f"There is no channel {name[:100]!r}: the names are {known}.")
        return tuple(Destination(name) for name in wanted)

    def addressed(self, service: str, address: str) -> Destination:
        """Another address of this service's channel. Raises `UnknownChannel`."""
        names = [name for name, one in self._settings.items() if one.service == service]
        if not names:
            raise UnknownChannel(f"There is no {service} channel that could take another address.")
        return Destination.of(service if service in names else names[0], address)

    @property
    def default(self) -> tuple[Destination, ...]:
        """The channels that are notified when a request names none."""
        return tuple(Destination(name) for name, settings in self._settings.items() if settings.default)


def make(config: Config) -> Channels:
    """Every channel, ready to send; nothing is connected yet."""
    return Channels(config.channels, {one.name: _made(one, config) for one in config.channels})


def _made(settings: ChannelSettings, config: Config) -> Channel:
    if settings.slack_bot is not None:
        from app.destinations.slack import SlackChannel

        token, channel = settings.slack_bot
        slack = config.alert.slack
        interactive = slack.signing_secret is not None
        return SlackChannel(
            token, channel, slack.base_url, interactive=interactive, button=slack.message_properties
        )
    # Not at the top: it costs a third of a second, so without channels it is left out.
    from app.destinations.apprise import AppriseChannel

    return AppriseChannel(settings)
