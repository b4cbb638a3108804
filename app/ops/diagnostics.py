"""Tries the real things that the configuration names: Redis and its settings, incident.io, the clocks."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app import telemetry
from app.bootstrap import Services
from app.destinations.incident_io import online_check
from app.destinations.incident_io.on_call import nobody
from app.destinations.incident_io.online_check import Level
from app.domain.delivery import Destination
from app.store import (
    NewerSchema,
    Settings,
    Store,
    StoreLoginRefused,
    StoreNotVerified,
    StoreUnavailable,
    first_contact,
)
from app.telemetry import log
from config import Config, ConfigError, load_config

OLDEST_REDIS = (6, 2)
CLOCKS_APART = timedelta(seconds=2)
CHECK_AGAIN_SECONDS = 1.0
FIRST_CONTACT_SECONDS = 2.0
ASK_SECONDS = 8.0
HOW_TO_VERIFY = (
    "Set redis.ca_cert (REDIS_CA_CERT) to a file with the authority that signed it; or, where nobody else "
    "can answer in its place, redis.insecure_skip_verify (REDIS_INSECURE_SKIP_VERIFY) to true, as on Heroku."
)
NONE_CONFIGURED = "`make run` starts a Redis of its own: start it first, or set REDIS_URL."
RIGHT_PASSWORD = "Set REDIS_URL, or redis.username and redis.password, to what Redis asks for."  # noqa: S105


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `ok`, a `warning`, or an `error` that costs pages."""

    level: Level
    about: str
    text: str
    """What is so and, unless that is well, what would be right."""
    of_the_configuration: bool = False
    """Whether an error stays until the configuration is changed."""


def check(services: Services) -> Iterator[Finding]:
    """One finding for each thing that was tried. Nothing is changed anywhere, and nobody is paged."""
    redis_ahead: timedelta | None = None
    try:
        yield _round_trip(services)
        services.store.schema.check()
        redis_ahead = _ahead(services.store)
        yield from redis_settings(services.store.server.settings())
    except NewerSchema as error:
        yield Finding("error", "redis", str(error), of_the_configuration=True)
    except StoreUnavailable as error:
        yield _no_redis(services, error)
    provider_ahead: timedelta | None = None
    for reached in online_check.ask(services.config):
        provider_ahead = reached.clock_ahead
        yield Finding(reached.level, f"incident.io ({', '.join(reached.alert_sources)})", reached.text)
    yield from _on_call(services)
    yield from _other_providers(services)
    if not services.config.oncall.ready:
        yield Finding("ok", "incident.io", "is not asked, as on-call is off and has no credentials.")
    yield _clocks(redis_ahead, provider_ahead)


# -- providers --------------------------------------------------------------------------------------------


def _on_call(services: Services) -> Iterator[Finding]:
    """Who is on call at incident.io, if there is a key that may ask."""
    if services.config.oncall.incident_io.account_api_key is None:
        return
    people = services.providers["incident_io"].on_call(deadline=time.monotonic() + ASK_SECONDS)
    if people is None:
        right = "check INCIDENTIO_ACCOUNT_API_KEY, and that it may view data and schedules"
        yield Finding("warning", "on call", f"is not known, as incident.io's answer is not: {right}.")
    elif (empty := nobody(people)) is None:
        yield Finding("ok", "on call", f"somebody, in each of {len(people)} schedule(s).")
    else:
        level: Level = "warning" if any(people.values()) else "error"
        yield Finding(level, "on call", f"{empty}: see the schedules at incident.io.")


def _other_providers(services: Services) -> Iterator[Finding]:
    """Each place of the others that is configured; no alert comes of it."""
    for pager in map(Destination, services.config.oncall.pagers):
        if pager.name == "incident_io":
            continue
        provider, address = services.providers[pager.name], pager.address or "default"
        outcome = provider.check(address, deadline=time.monotonic() + ASK_SECONDS)
        if outcome is None:
            text = "is not asked, as any request would be an event: `versus drill` tries it."
            yield Finding("ok", str(pager), text)
        elif outcome.delivered:
            yield Finding("ok", str(pager), "answers, and takes the credentials.")
        else:
            # AWS and ServiceNow may forbid to read what they let people write.
            sure = outcome.verdict == "misconfigured" and pager.name == "pagerduty"
            yield Finding("error" if sure else "warning", str(pager), outcome.detail)


# -- at the start of a process ----------------------------------------------------------------------------


def config_to_serve() -> Config:
    """The configuration of a process that serves; a wrong one ends it with 2, after what is wrong with it.

    So does a Redis whose certificate is not accepted, or that a newer version wrote to.
    """
    try:
        config = load_config()
        if trouble := redis_trouble(config.redis.url.get_secret_value()):
            raise ConfigError(trouble)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    return config


def begin_log(config: Config) -> None:
    """Send the log to standard error, with the warnings of the configuration first."""
    telemetry.configure(config.secrets())
    for warning in config.warnings:
        log.warning("configuration", warning=warning)


def redis_trouble(redis_url: str) -> str | None:
    """A sentence if something is wrong with Redis for which no process should be started.

    Its certificate is not accepted, or a newer version of the software wrote what this one can't understand.
    """
    failed = first_contact(redis_url, FIRST_CONTACT_SECONDS)
    if isinstance(failed, StoreNotVerified):
        return f"{failed} {HOW_TO_VERIFY}"
    if failed is None:
        store = Store(redis_url, retry_seconds=0, timeout=FIRST_CONTACT_SECONDS, connections=1)
        try:
            store.schema.check()
        except NewerSchema as newer:
            return str(newer)
        except StoreUnavailable:
            # It is tried again when something is to be read or written.
            return None
    return None


def warn_of_redis(store: Store) -> None:
    """A line in the log for each setting with which Redis loses incidents; nothing while it is away."""
    try:
        settings = store.server.settings_from_info()
    except StoreUnavailable:
        return
    for finding in redis_settings(settings):
        # What a user of few rights can't ask is for `versus check-config --online` to tell.
        if finding.level == "error":
            log.warning("redis_setting", setting=finding.about, warning=finding.text)


def report_until_redis_answers(store: Store) -> None:
    """One line in the log if Redis is away, and one when it is there; ends then."""
    pause = threading.Event()
    stated = False
    while True:
        try:
            store.now()
        except StoreUnavailable as error:
            if not stated and isinstance(error, StoreLoginRefused):
                log.error("redis_refuses", reason=str(error), right=RIGHT_PASSWORD)
            elif not stated:
                log.warning("redis_away", reason=str(error), then="waiting for it, and serving meanwhile")
            stated = True
            pause.wait(CHECK_AGAIN_SECONDS)
        else:
            if stated:
                log.info("redis_there")
            return


# -- Redis ------------------------------------------------------------------------------------------------


def _no_redis(services: Services, error: StoreUnavailable) -> Finding:
    settings = services.config.redis
    # Through sentinels, the first contact alone knows why.
    error = first_contact(settings.url.get_secret_value(), FIRST_CONTACT_SECONDS) or error
    if isinstance(error, StoreNotVerified):
        return Finding("error", "redis", f"{error} {HOW_TO_VERIFY}", of_the_configuration=True)
    if isinstance(error, StoreLoginRefused):
        return Finding("error", "redis", f"{error} {RIGHT_PASSWORD}", of_the_configuration=True)
    if not settings.configured:
        asked = settings.url.get_secret_value()
        return Finding(
            "error", "redis", f"{error} None is configured, so this asked {asked}. {NONE_CONFIGURED}"
        )
    return Finding("error", "redis", f"{error} Check redis in the configuration file, or REDIS_URL.")


def _round_trip(services: Services) -> Finding:
    milliseconds = services.store.server.round_trip() * 1000
    text = f"answers; a round trip takes {milliseconds:.1f} ms."
    settings = services.config.redis
    if settings.configured:
        return Finding("ok", "redis", text)
    asked = settings.url.get_secret_value()
    return Finding("warning", "redis", f"{text} None is configured: this is {asked}. Set REDIS_URL.")


def redis_settings(settings: Settings) -> list[Finding]:
    """One finding for each setting."""
    on = {True: "yes", False: "no", None: None}[settings.appendonly]
    forgets = "a restart of Redis forgets every incident that waits"
    costs = "a crash of its machine may cost the last half minute"
    throws = "a Redis that is full throws incidents away"
    return [
        _version(settings.version),
        _setting("appendonly", on, ("yes",), "error", forgets),
        _setting("appendfsync", settings.appendfsync, ("everysec", "always"), "warning", costs),
        _setting("maxmemory-policy", settings.maxmemory_policy, ("noeviction",), "error", throws),
    ]


def _version(version: str | None) -> Finding:
    oldest = ".".join(map(str, OLDEST_REDIS))
    if version is None:
        return _unknown("redis version", f"it must be {oldest} or newer")
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) >= OLDEST_REDIS:
        return Finding("ok", "redis version", f"{version}.")
    return Finding("error", "redis version", f"is {version}: it must be {oldest} or newer.")


def _setting(about: str, value: str | None, right: tuple[str, ...], level: Level, lost: str) -> Finding:
    if value is None:
        return _unknown(about, f"it must be {' or '.join(right)}")
    if value in right:
        return Finding("ok", about, f"{value}.")
    return Finding(level, about, f"is {value}, so {lost}: set {about} {right[0]}.")


def _unknown(about: str, right: str) -> Finding:
    return Finding("warning", about, f"is unknown, as Redis does not let this user ask: {right}.")


# -- clocks -----------------------------------------------------------------------------------------------


def _ahead(store: Store) -> timedelta:
    """Redis's clock compared to this host's."""
    before = datetime.now(UTC)
    stated = store.now()
    return stated - (before + (datetime.now(UTC) - before) / 2)


def _clocks(redis: timedelta | None, provider: timedelta | None) -> Finding:
    known = {
        name: ahead for name, ahead in (("Redis", redis), ("incident.io", provider)) if ahead is not None
    }
    stated = ", ".join(f"{name} {round(ahead.total_seconds(), 1) + 0:+} s" for name, ahead in known.items())
    if not known:
        return Finding("warning", "clocks", "were not compared: neither Redis nor incident.io told the time.")
    # This host's own clock is the zero that the others are compared to.
    all_of_them = [timedelta(0), *known.values()]
    if max(all_of_them) - min(all_of_them) < CLOCKS_APART:
        return Finding("ok", "clocks", f"agree; compared to this host: {stated}.")
    wrong = f"differ; compared to this host: {stated}"
    return Finding("warning", "clocks", f"{wrong}. Redis's decides when a page is due: set them by NTP.")
