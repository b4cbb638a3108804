"""Makes the channels of a configuration."""

from __future__ import annotations

from app.channels import Channels
from app.channels.channel import Channel
from config import ChannelSettings, Config


def make(config: Config) -> Channels:
    """Every channel, ready to send; nothing is connected yet."""
    return Channels(config.channels, {one.name: _made(one, config) for one in config.channels})


def _made(settings: ChannelSettings, config: Config) -> Channel:
    if settings.slack_bot is not None:
        from app.channels.slack import SlackChannel

        token, channel = settings.slack_bot
        slack = config.alert.slack
        interactive = slack.signing_secret is not None
        return SlackChannel(
            token, channel, slack.base_url, interactive=interactive, button=slack.message_properties
        )
    # Not at the top: it costs a third of a second, so without channels it is left out.
    from app.channels.apprise import AppriseChannel

    return AppriseChannel(settings)
