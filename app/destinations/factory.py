"""Makes the provider and the channels that the configuration names."""

from __future__ import annotations

from collections.abc import Callable

from app.destinations.base import Channel, Provider
from app.destinations.channels import Channels
from app.destinations.incident_io.provider import IncidentIo
from config import ChannelSettings, Config

PROVIDERS: dict[str, Callable[[Config], Provider]] = {"incident_io": IncidentIo}


def provider_for(config: Config) -> Provider:
    """The provider that the configuration names."""
    # The name of a provider that only the Go edition has passes while on-call is off; then nothing is sent.
    return PROVIDERS.get(config.oncall.provider, IncidentIo)(config)


def channels_for(config: Config) -> Channels:
    """Every channel, ready to send; nothing is connected yet."""
    return Channels(config.channels, {one.name: _channel_for(one, config) for one in config.channels})


def _channel_for(settings: ChannelSettings, config: Config) -> Channel:
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
