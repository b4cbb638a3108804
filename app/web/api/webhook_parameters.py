"""The parameters of a webhook: what they must be, and what they ask for."""

from __future__ import annotations

import re
from difflib import get_close_matches

from werkzeug.datastructures import MultiDict

from app.destinations.channels import Channels
from app.domain.alert import LINE_LIMIT
from app.domain.delivery import Destination
from app.ingest.service import Options
from app.sanitize import one_line
from app.web.http.parameters import BadParameter, single
from config import Config, OnCall

LONGEST_WAIT_MINUTES = 10_080
NAMESPACE_LIMIT = 100
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")

_MAIL = r"[^\s,;<>@?&#/]{1,64}@[\w.-]{1,255}"
ADDRESSES = {
    "slack_channel_id": ("slack", re.compile(r"[A-Z0-9]{2,20}|#[\w-]{1,80}")),
    "telegram_chat_id": ("telegram", re.compile(r"-?[0-9]{1,20}|@\w{1,64}")),
    "email_to": ("email", re.compile(rf"{_MAIL}(,{_MAIL}){{0,19}}")),
}
RIGHT_ADDRESS = {
    "slack": "the ID of a channel, such as C0123456789",
    "telegram": "the ID of a chat, such as -1001234567890",
    "email": "mail addresses, separated by commas, 20 at most",
}
ALTERNATES = {"msteams_other_power_url": "msteams", "lark_other_webhook_url": "lark"}
"""Parameters that name one of several addresses, and whose they are."""


PREFIXES = ("oncall_", "incidentio_", "pagerduty_", "servicenow_", "awsim_", "webhook_other_")
PAGERS = OnCall().parameters
"""Parameters that name one of several places where a provider pages, and whose they are."""
OURS = ("oncall_enable", "oncall_wait_minutes", *PAGERS)
"""The parameters that begin so: any other is a mistake, and what it asks for would be lost."""

BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
BOOLEANS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)
"""As Go reads them."""


def options_of(args: MultiDict[str, str], channels: Channels) -> Options:
    """What the parameters ask for. Raises `BadParameter` and `UnknownChannel`."""
    _check_names(args)
    return Options(
        oncall_enable=_boolean(args, "oncall_enable"),
        wait_minutes=_minutes(args, "oncall_wait_minutes"),
        **_pager(args),
        channels=_targets(args, channels),
        mail_subject=one_line(single(args, "email_subject") or "", LINE_LIMIT) or None,
        namespace=_namespace(args),
    )


def _pager(args: MultiDict[str, str]) -> dict[str, str]:
    named = [
        {"provider": provider, "alert_source": name}
        for one, provider in PAGERS.items()
        if (name := single(args, one)) is not None
    ]
    if len(named) > 1:
        given = " and ".join(one for one in PAGERS if args.get(one))
        raise BadParameter(f"The parameters {given} exclude each other: name one place to page, not several.")
    return named[0] if named else {}


def _check_names(args: MultiDict[str, str]) -> None:
    for name in args:
        if name not in OURS and name.lower().startswith(PREFIXES):
            [nearest] = get_close_matches(name[:100].lower(), OURS, n=1, cutoff=0)
            raise BadParameter(f"There is no parameter {name[:40]!r}: the nearest one is {nearest}.")


def check_mail(args: MultiDict[str, str], config: Config) -> None:
    """Without an intake secret, mail goes only to whom the configuration allows. Raises `BadParameter`."""
    if config.intake_secret is not None:
        return
    for address in (single(args, "email_to") or "").split(","):
        if address and not config.alert.email.allows(address):
            raise BadParameter(
                f"The parameter email_to names {address[:80]!r}, which is not allowed without an intake "
                "secret: set intake_secret, or name the address or its domain in alert.email.allowed_to."
            )


def _targets(args: MultiDict[str, str], channels: Channels) -> tuple[Destination, ...] | None:
    """The named channels, or the default ones, with the addresses that are asked for instead of theirs."""
    named = single(args, "channels")
    wanted = list(channels.default if named is None else channels.asked(named.split(",")))
    changed = named is not None
    for parameter, (service, right) in ADDRESSES.items():
        if address := single(args, parameter):
            if not right.fullmatch(address):
                raise BadParameter.of(parameter, address, RIGHT_ADDRESS[service])
            _replace(wanted, channels.addressed(service, address))
            changed = True
    for parameter, service in ALTERNATES.items():
        if name := single(args, parameter):
            [target] = channels.asked([f"{service}-{name}"])
            _replace(wanted, target, service)
            changed = True
    return tuple(wanted) if changed else None


def _replace(wanted: list[Destination], target: Destination, name: str | None = None) -> None:
    """Put the destination in the place of its channel, or at the end."""
    name = name or target.name
    if name in wanted:
        wanted[wanted.index(Destination(name))] = target
    else:
        wanted.append(target)


def _namespace(args: MultiDict[str, str]) -> str | None:
    namespace = single(args, "namespace")
    if namespace is not None and len(namespace) > NAMESPACE_LIMIT:
        raise BadParameter(f"The parameter namespace has more than {NAMESPACE_LIMIT} characters.")
    return namespace


def _boolean(args: MultiDict[str, str], name: str) -> bool | None:
    value = single(args, name)
    if value is None:
        return None
    if value not in BOOLEANS:
        raise BadParameter.of(name, value, "true or false (or 1 or 0)")
    return BOOLEANS[value]


def _minutes(args: MultiDict[str, str], name: str) -> float | None:
    value = single(args, name)
    if value is None:
        return None
    minutes = float(value) if NUMBER.fullmatch(value) else -1.0
    if not 0 <= minutes <= LONGEST_WAIT_MINUTES:
        right = f"a number of minutes from 0 to {LONGEST_WAIT_MINUTES}, for example 0.5"
        raise BadParameter.of(name, value, right)
    return minutes
