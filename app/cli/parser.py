"""What `versus` understands: its commands, their options, and an example of each."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import shtab

from app import __version__
from app.bootstrap import Services
from app.cli import configuration, incidents, rejected, silences, trial
from app.domain.alert import SEVERITIES
from app.domain.state import State
from app.domain.subscription import CHANGE_EVENTS
from app.store import KEPT, SUMMARY

MOST = 10_000

STATUSES = "exit status: 0 done, 1 failed or something is wrong, 2 the configuration or the command is wrong"
ONLINE = """
also check Redis and its settings, incident.io (creates no alert) and the clocks; exit status 1 when a check
fails, 2 when waiting does not help
"""
FROM_GO = """
instead report what to do with each key of this file of the Go edition, and with its environment variables
"""
DRILL = """
Send an incident marked [DRILL] to the running web process, wait until the provider has accepted its page,
resolve it, wait for the resolve event, and print when each hop was reached. IT REALLY PAGES: an alert is
created at incident.io, or at the provider that is configured or named, and everybody whom its routes name is
called; a route can recognise it by the metadata label_drill. Ends with 0 when page and resolve event arrived,
else with 1, also when a fallback paged in its place. Whatever happens, Ctrl-C included, the incident is
resolved.
"""

SILENCE = """
With conditions: nobody is notified of, or paged for, what matches all of them, until the silence ends.
Fields are source, service, severity, title, namespace and label.<name>; in patterns * and ? are wildcards,
and a field that is given twice matches either pattern. Without conditions: list the silences.
"""

Command = Callable[[Services, argparse.Namespace], int]
Number = TypeVar("Number", int, float)


def parser() -> argparse.ArgumentParser:
    """Parses a command line; `command` is what to call, with services and the arguments.

    With `process` there is nothing to call: it names the process of the Procfile to become.
    """
    whole = argparse.ArgumentParser(
        prog="versus",
        description="Versus Incident from the command line, with the configuration of web and worker.",
        epilog=STATUSES,
    )
    whole.add_argument("--version", action="version", version=f"versus {__version__}")
    shtab.add_argument_to(whole, ["--print-completion"], help="print the completion script for a shell")
    whole.set_defaults(process=None)
    commands = _Commands(whole.add_subparsers(required=True, metavar="command"))
    _processes(commands)
    _about_the_service(commands)
    _about_incidents(commands)
    _about_silences(commands)
    _about_trials(commands)
    _about_rules(commands)
    return whole


class _Commands:
    """Adds commands, each with what all of them have."""

    def __init__(self, parsers: Any) -> None:
        self._parsers = parsers

    def add(
        self, name: str, command: Command, summary: str, example: str, description: str | None = None
    ) -> argparse.ArgumentParser:
        added = self._add(name, summary, example, description)
        added.set_defaults(command=command)
        if command is not trial.drill:
            added.add_argument("--json", action="store_true", help="print JSON, one object per line")
        return added

    def add_process(self, name: str, summary: str, description: str) -> None:
        self._add(name, summary, "", description).set_defaults(process=name)

    def _add(self, name: str, summary: str, example: str, description: str | None) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            help=summary,
            description=(description or f"{summary[0].upper()}{summary[1:]}.").strip(),
            epilog=f"example:\n  {f'versus {name} {example}'.strip()}\n\n{STATUSES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.add_argument(
            "--config",
            type=Path,
            metavar="PATH",
            help="the configuration file (default: VERSUS_CONFIG, then config/config.yaml)",
        )
        return added


def _processes(commands: _Commands) -> None:
    summaries = {"web": "serve webhooks, the API and the dashboard", "worker": "page, and notify"}
    for name, summary in summaries.items():
        commands.add_process(
            name,
            f"{summary}; runs until it gets SIGTERM",
            f"Become the process `{name}` of the Procfile: {summary}.\n"
            "Runs until it gets SIGTERM. Any number may run, on any number of hosts, against one Redis.",
        )


def _about_the_service(commands: _Commands) -> None:
    check = commands.add(
        "check-config",
        configuration.check_config,
        "check the configuration and show the settings in force",
        "--online",
    )
    check.add_argument("--online", action="store_true", help=ONLINE)
    check.add_argument("--from-go", type=Path, metavar="FILE", help=FROM_GO)
    refused = commands.add("rejected", rejected.rejected, "list the webhooks that were refused", "--limit 5")
    refused.add_argument(
        "--limit", type=_number(int, 1, KEPT), default=20, metavar="N", help="how many (default: 20)"
    )


def _about_incidents(commands: _Commands) -> None:
    listed = commands.add(
        "list",
        incidents.list_incidents,
        "list incidents, the newest first",
        "--state pending --severity critical disk",
    )
    listed.add_argument("words", nargs="*", help="words that must be in title, description, labels, …")
    listed.add_argument("--state", action="append", choices=[str(state) for state in State])
    listed.add_argument("--severity", action="append", choices=SEVERITIES)
    listed.add_argument("--service")
    listed.add_argument("--source", help="the sender, such as alertmanager")
    for option, help_ in (("--since", "created at this time or later"), ("--until", "created before")):
        listed.add_argument(option, type=incidents.moment, metavar="TIME", help=f"{help_}, RFC 3339")
    listed.add_argument(
        "--limit", type=_number(int, 1, MOST), default=50, metavar="N", help="how many (default: 50)"
    )
    _one(commands, "show", incidents.show, "show everything that is known of an incident")
    _one(commands, "explain", incidents.explain_one, "explain whether an incident paged, and why")
    for name, action, summary in (
        ("ack", incidents.acknowledge, "acknowledge an incident"),
        ("unack", incidents.unacknowledge, "undo an acknowledgement: the incident waits again"),
        ("resolve", incidents.resolve, "resolve an incident"),
        ("escalate", incidents.escalate, "page for an incident without waiting any longer"),
    ):
        done = _one(commands, name, action, summary)
        done.add_argument("--by", default=_login(), help="who you are, for the timeline (default: the login)")
        if name == "ack":
            done.add_argument(
                "--minutes",
                type=_number(float, 0.01, 10_080),
                metavar="N",
                help="for how long (default: until it is resolved)",
            )


def _one(commands: _Commands, name: str, command: Command, summary: str) -> argparse.ArgumentParser:
    added = commands.add(name, command, summary, "3f0c4a52")
    added.add_argument("id", help="of the incident, or the beginning of it")
    return added


def _about_silences(commands: _Commands) -> None:
    silence = commands.add(
        "silence",
        silences.silence,
        "make a silence, list them, or end one",
        "service=checkout* label.env=prod --minutes 30 --comment deployment",
        SILENCE,
    )
    silence.add_argument("match", nargs="*", metavar="FIELD=PATTERN", help="conditions, which must all match")
    silence.add_argument("--minutes", metavar="N", help="for how long")
    silence.add_argument("--until", metavar="TIME", help="or until when, RFC 3339")
    silence.add_argument("--comment", metavar="TEXT", help="why")
    silence.add_argument("--by", default=_login(), help="who you are (default: the login)")
    silence.add_argument("--end", metavar="ID", help="end the silence with this ID, or the beginning of it")
    silence.add_argument("--all", action="store_true", help="list ended silences, too")


def _about_trials(commands: _Commands) -> None:
    drill = commands.add(
        "drill",
        trial.drill,
        "page for real, and check that the page arrives (creates an alert)",
        "--wait 10",
        DRILL,
    )
    for option, default, about in (
        ("--wait", 5.0, "until the page is due (default: 5)"),
        ("--timeout", 60.0, "how late page and resolve event may be (default: 60)"),
    ):
        drill.add_argument(
            option, type=_number(float, 0, 3600), default=default, metavar="SECONDS", help=about
        )
    drill.add_argument(
        "--provider",
        metavar="DESTINATION",
        help="who is to page, such as pagerduty/default (default: whom the configuration names)",
    )
    sent = commands.add(
        "send-test",
        trial.test_webhook,
        "send a webhook to the running web process, which notifies the channels and pages nobody",
        "--channels ops",
    )
    sent.add_argument("--title", default="[TEST] Nothing is broken", help="of the incident")
    sent.add_argument("--channels", metavar="NAMES", help="channels to notify, separated by commas")
    sent.add_argument("--page", action="store_true", help="page as well, if nobody acknowledges in time")
    again = commands.add(
        "replay",
        trial.replay_rejected,
        "replay a refused webhook through the running web process",
        "5d41402abc4b2a76b9719d911017c592",
    )
    again.add_argument("id", help="as `versus rejected` shows it")
    for command in (drill, sent, again):
        command.add_argument(
            "--url", metavar="URL", help="of web (default: http://localhost and the configured port)"
        )
    look = commands.add(
        "preview", trial.preview, "show what the messages of a channel look like", "ops --event created"
    )
    look.add_argument("channel", help="a name in the configuration")
    look.add_argument("payload", nargs="?", type=Path, help="a file with the body of a webhook")
    look.add_argument("--event", choices=[*CHANGE_EVENTS, SUMMARY], help="only this one")
    look.add_argument("--send", action="store_true", help="also send them to the channel")


def _about_rules(commands: _Commands) -> None:
    asked = commands.add(
        "route",
        trial.route,
        "say which rule decides about a webhook, and what follows; nothing is sent or stored",
        "body.json --at 2026-03-04T23:00:00+01:00 --param oncall_wait_minutes=5",
    )
    asked.add_argument("file", type=Path, help="the body of a webhook; - for standard input")
    asked.add_argument("--at", metavar="TIME", help="evaluate it for this time, RFC 3339 (default: now)")
    asked.add_argument(
        "--param",
        action="append",
        type=_parameter,
        default=[],
        metavar="NAME=VALUE",
        help="a query parameter of the webhook; may be repeated",
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "versus"


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text} is no NAME=VALUE")
    return name, value


def _number(kind: Callable[[str], Number], least: Number, most: Number) -> Callable[[str], Number]:
    def number(text: str) -> Number:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is no number from {least} to {most}")
        return value

    return number
