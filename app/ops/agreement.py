"""Settings that web and workers must agree on: each worker publishes hashes of them, and others compare."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from app.bootstrap import Services
from app.telemetry import log
from config import Config

SHOWN = 16


def fingerprint(config: Config) -> dict[str, str]:
    """A hash of each setting, by its name; that of the secret is keyed with it, as a link's signature is."""
    key = config.link_key or b""
    agreed = {
        "name": config.name,
        "names of alert sources": repr(sorted(config.oncall.incident_io.alert_sources)),
        "names of channels": repr(sorted(channel.name for channel in config.channels)),
    }
    return {
        "gateway_secret": hmac.new(key, b"versus fingerprint", hashlib.sha256).hexdigest()[:SHOWN],
        **{name: hashlib.sha256(value.encode()).hexdigest()[:SHOWN] for name, value in agreed.items()},
    }


def difference(services: Services, workers: Sequence[str]) -> str | None:
    """Which settings one of these workers has otherwise, in one sentence. Raises `StoreUnavailable`."""
    ours = fingerprint(services.config)
    for worker, theirs in services.store.fingerprints.of(workers).items():
        names = [name for name, value in ours.items() if theirs.get(name, value) != value]
        if names:
            sentence = (
                f"this process and the worker {worker} differ in {', '.join(names)}: "
                "start all processes with the same configuration"
            )
            log.error("settings_differ", settings=names, worker=worker)
            return sentence
    return None
