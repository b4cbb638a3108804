"""What a user may set, and the code that reads it: `load_config()` gives a `Config` or a `ConfigError`."""

from config.channels import ChannelSettings
from config.document import ConfigError
from config.loader import load_config
from config.providers import AlertSource, Instance
from config.schema import Config, OnCall, UnknownAlertSource
from config.values import Network

__all__ = [
    "AlertSource",
    "ChannelSettings",
    "Config",
    "ConfigError",
    "Instance",
    "Network",
    "OnCall",
    "UnknownAlertSource",
    "load_config",
]
