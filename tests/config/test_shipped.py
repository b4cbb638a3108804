"""The files that are shipped: `config/config.yaml` and `.env.example`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from config import ConfigError, load_config
from config.keys import SETTINGS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config/config.yaml"
EXAMPLE = ROOT / ".env.example"


def test_the_shipped_file_pages_once_it_has_credentials() -> None:
    environ = {"INCIDENTIO_API_KEY": "key-1", "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source-1"}
    config = load_config(SHIPPED, environ)
    assert config.oncall.by_default
    assert config.oncall.wait_minutes == 3
    assert list(config.oncall.incident_io.alert_sources) == ["default"]
    assert not config.redis.configured


def test_the_shipped_file_takes_every_variable() -> None:
    prefix = "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_"
    environ = {
        "GATEWAY_SECRET": "services",
        "INCIDENTIO_API_KEY": "key-1",
        "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source-1",
        "INCIDENTIO_HEARTBEAT_CONFIG_ID": "heartbeat-1",
        "INCIDENTIO_OTHER_API_KEY_DB": "key-db",
        "REDIS_HOST": "redis",
        "REDIS_PORT": "6380",
        "REDIS_PASSWORD": "pw",
        "REDIS_DB": "2",
        "REDIS_INSECURE_SKIP_VERIFY": "true",
        "INTAKE_SECRET": "intake",
        "PUBLIC_HOST": "https://versus.example.com/",
        "TRUSTED_PROXIES": "10.0.0.0/8",
        "TRUSTED_NAME_HEADER": "X-Forwarded-User",
        "ONCALL_WAIT_MINUTES": "0.5",
        "ONCALL_INITIALIZED_ONLY": "true",
        **{f"{prefix}{name}": f"source-{name.lower()}" for name in ("INFRA", "APP", "DB")},
    }
    config = load_config(SHIPPED, environ)
    provider = config.oncall.incident_io
    assert [source.id for source in provider.alert_sources.values()] == [
        "source-1",
        "source-infra",
        "source-app",
        "source-db",
    ]
    assert provider.alert_sources["db"].api_key.get_secret_value() == "key-db"
    assert provider.heartbeat_config_id == "heartbeat-1"
    assert config.redis.url.get_secret_value() == "rediss://:pw@redis:6380/2?ssl_cert_reqs=none"
    assert config.intake_secret is not None
    assert (config.public_host, len(config.trusted_proxies)) == ("https://versus.example.com", 1)
    assert (config.oncall.wait_minutes, config.oncall.by_default) == (0.5, False)
    assert {"services", "key-1", "key-db", "pw"} <= set(config.secrets())


def test_the_shipped_file_says_what_is_missing() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(SHIPPED, {})
    assert len(caught.value.problems) == 2
    assert "INCIDENTIO_API_KEY" in caught.value.problems[0]
    assert "INCIDENTIO_ALERT_SOURCE_CONFIG_ID" in caught.value.problems[1]


def test_the_example_environment_is_empty_until_filled_in() -> None:
    assert not any(dotenv_values(EXAMPLE).values())


def test_the_example_environment_names_every_variable() -> None:
    named = set(re.findall(r"^#? ?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z_]+)", SHIPPED.read_text())) - {
        "VAR",
        "OPS_CHANNEL_URL",
    }
    own = {setting.variable for setting in SETTINGS.values() if setting.variable}
    own -= {"INCIDENTIO_BASE_URL", "REDIS_CLUSTER"}
    assert named == used | own | {"VERSUS_CONFIG"}
