"""A drill: a real incident marked `[DRILL]` is paged and resolved, and each hop is timed."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests

from app.bootstrap import Services
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.domain.state import State
from app.ingest import webhooks
from app.ingest.service import Options, ReceivedAlert, receive
from app.ops.health import readiness
from app.sanitize import one_line
from app.store import LastDrill, StoreUnavailable
from config import Config

TITLE = "[DRILL] Nothing is broken: this tests that a page arrives"
WORDS = "Somebody ran `versus drill` to see a page arrive. It is resolved by itself; there is nothing to do."
TEST_WORDS = "Somebody ran `versus send-test`. There is nothing to do."

# A request to web that waits for Redis without success, and then for incident.io, is answered by then.
ANSWER_SECONDS = 20.0
POLL_SECONDS = 0.02
LONGEST_VERDICT = 500

WebAnswer = tuple[int, dict[str, Any]]
"""Status and JSON of what web answered."""

HOPS = {
    "received": "stored in Redis,",
    "waiting": "scheduled:",
    "attempt": "claimed by a worker: attempt",
    "attempt_failed": "attempt failed:",
    "escalated": "page accepted:",
    "acknowledged": "acknowledged",
    "resolved": "resolved",
    "resolve_event_sent": "resolve event accepted:",
}
"""What is reported of an entry on the timeline, before its detail."""


class DrillFailed(Exception):
    """The drill did not get through; the text names the hop, and where to look."""


@dataclass
class Drill:
    """One drill, from its webhook to its resolve event; all times that it reports are Redis's."""

    services: Services
    url: str
    """Of the web process, without a slash at the end."""
    wait: float
    """Seconds that the incident waits for an acknowledgement."""
    timeout: float
    """Seconds that the page may be late, and again the resolve event."""
    report: Callable[[str], object]
    provider: Destination | None = None
    """Who is to page, where it is not whom the configuration names."""
    interrupted: bool = False
    """Set by a signal; an exception would be lost where Python ignores exceptions, as in a finalizer."""
    key: str = field(default_factory=lambda: f"versus-drill-{uuid.uuid4()}")
    _began: datetime = field(init=False)
    _reported: int = 0
    """Entries of the timeline that were reported."""
    _due_reported: bool = False

    def run(self) -> None:
        """Raises `DrillFailed`, and `StoreUnavailable` when Redis goes away; what it created is resolved
        even then. The verdict is kept for the status page.
        """
        try:
            verdict = self._run()
        except DrillFailed as error:
            self._ended(str(error), passed=False)
            raise
        self._ended(verdict, passed=True)
        self.report(verdict)

    def _ended(self, verdict: str, *, passed: bool) -> None:
        # Where Redis went away, the verdict of the drill itself is what people need.
        with suppress(StoreUnavailable):
            at = self.services.clock()
            self.services.store.drills.ended(LastDrill(at, passed, one_line(verdict, LONGEST_VERDICT)))

    def _run(self) -> str:
        self._began = self.services.clock()
        self._say(self._began, f"sent to {self.url}")
        try:
            incident_id = self._report()
            paged = self._watch(incident_id, lambda i: i.escalated_at is not None, self.wait + self.timeout)
            check_who_paged(paged)
        finally:
            self._resolve()
        ended = self._watch(incident_id, lambda i: i.is_over, self.timeout)
        return _verdict(ended)

    # -- the hops ---------------------------------------------------------------------------------------

    def _report(self) -> str:
        body = {"title": TITLE, "description": WORDS, "severity": "info", "labels": {"drill": "true"}}
        wait = f"{self.wait / 60:.9f}"
        status, answer = self._post(body, oncall_enable="true", oncall_wait_minutes=wait, **self._asked())
        answered_at = self.services.clock()
        if status == 202:
            raise DrillFailed(
                "Web can't reach Redis, so it paged at once and stored nothing: check web's log."
            )
        if status != 201:
            said = answer.get("error", "that is not Versus Incident, so check the address.")
            raise DrillFailed(f"Web refused the incident with {status}: {one_line(str(said), 300)}")
        incident_id = str(answer["incident"]["id"])
        self._follow(self._read(incident_id))
        self._say(answered_at, f"accepted by web: incident {incident_id}")
        return incident_id

    def _asked(self) -> dict[str, str]:
        if self.provider is None:
            return {}
        parameter = self.services.config.oncall.block(self.provider.name).parameter
        return {parameter: self.provider.address or "default"}

    def _post(self, body: dict[str, Any], **parameters: str) -> WebAnswer:
        return post_webhook(self.services.config, self.url, self._whole(body), parameters)

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"source": "versus drill", "deduplication_key": self.key, **body}

    def _watch(self, incident_id: str, arrived: Callable[[Incident], bool], seconds: float) -> Incident:
        """Report what happens to the incident until it arrived, for so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            incident = self._read(incident_id)
            self._follow(incident)
            if arrived(incident):
                return incident
            if incident.escalated_at is None and incident.state in (State.ACKNOWLEDGED, State.RESOLVED):
                raise DrillFailed(f"The drill was {incident.state} before it paged: run it again.")
            if self.interrupted:
                raise DrillFailed("The drill was interrupted before its end.")
            if time.monotonic() >= deadline:
                raise DrillFailed(self._stuck(incident))
            time.sleep(POLL_SECONDS)

    def _read(self, incident_id: str) -> Incident:
        incident = self.services.store.incidents.get(incident_id)
        if incident is None:
            raise DrillFailed(
                "Web stored the incident in another Redis than that of this configuration: "
                "run the drill with web's configuration."
            )
        return incident

    def _resolve(self) -> None:
        """As a sender does; where web is away, as web does."""
        body = {"title": TITLE, "status": "resolved"}
        try:
            if self._post(body)[0] < 300:
                return
        except DrillFailed:
            pass
        whole = self._whole(body)
        try:
            receive(self.services, [ReceivedAlert(webhooks.read(whole, {}), json.dumps(whole))], Options())
        except StoreUnavailable as error:
            self.report(f"NOT RESOLVED. {error} If the provider has an alert of the drill, resolve it there.")

    def _stuck(self, incident: Incident) -> str:
        """Which hop the event did not get over."""
        what = "resolve event" if incident.state is State.RESOLVED else "page"
        if incident.worst.failures:
            who = _called(next(iter(incident.pagers)))
            return f"{who} did not accept the {what} within {self.timeout:g} s. {incident.last_error}"
        if incident.in_flight:
            return f"A worker claimed the {what} and did not report back: check the worker's log."
        checks = readiness(self.services)
        workers = "workers were seen in the last 30 s" if checks["workers"] == "ok" else checks["workers"]
        return (
            f"No worker claimed the {what} within {self.timeout:g} s of its time ({workers}): look at the "
            "worker's log, and whether more pages wait for max_per_minute."
        )

    # -- what is reported -------------------------------------------------------------------------------

    def _follow(self, incident: Incident) -> None:
        for entry in incident.timeline[self._reported :]:
            if entry.event == "attempt" and incident.due_at is not None and not self._due_reported:
                self._due_reported = True
                self._say(incident.due_at, "due")
            self._say(entry.at, f"{HOPS.get(entry.event, entry.event)} {entry.detail}".rstrip())
        self._reported = len(incident.timeline)

    def _say(self, moment: datetime, text: str) -> None:
        self.report(f"{(moment - self._began).total_seconds():9.3f} s  {text}")


def _called(pager: Destination) -> str:
    return "incident.io" if pager.name == "incident_io" else pager


def check_who_paged(incident: Incident) -> None:
    """That a fallback paged is no proof that the provider would. Raises `DrillFailed`."""
    [wanted, *_] = incident.pagers
    if incident.pagers[wanted].accepted_at is None:
        at = incident.escalated_at
        other = next(pager for pager, delivery in incident.pagers.items() if delivery.accepted_at == at)
        why = incident.pagers[wanted].last_error or "no reason is known"
        raise DrillFailed(f"{other} paged, since {wanted} did not accept the page. {why}")


def post_webhook(config: Config, url: str, body: dict[str, Any], parameters: dict[str, str]) -> WebAnswer:
    """Send a webhook to web as a monitoring tool does. Raises `DrillFailed`."""
    secret = config.intake_secret
    headers = {"X-Versus-Token": secret.get_secret_value()} if secret else {}
    return _post(url, "/api/incidents", headers, json=body, params=parameters)


def send_test(config: Config, url: str, title: str, parameters: dict[str, str]) -> WebAnswer:
    """Send a webhook that is marked as a test. Raises `DrillFailed`."""
    body = {"title": title, "description": TEST_WORDS, "severity": "info", "source": "versus send-test"}
    return post_webhook(config, url, body, parameters)


def replay(config: Config, url: str, entry_id: str) -> WebAnswer:
    """Have web take a rejected body after all. Raises `DrillFailed`."""
    secret = config.gateway_secret
    if secret is None:
        raise DrillFailed("Web takes a rejected body from the admin API alone: set gateway_secret.")
    headers = {"X-Gateway-Secret": secret.get_secret_value()}
    return _post(url, f"/api/rejected/{quote(entry_id, safe='')}/replay", headers)


def _post(url: str, path: str, headers: dict[str, str], **what: Any) -> WebAnswer:
    with requests.Session() as session:
        # Whatever proxy leads out to incident.io, it does not lead back to this host.
        session.trust_env = not url.startswith(("http://localhost", "http://127."))
        try:
            answer = session.post(
                f"{url}{path}", headers=headers, timeout=ANSWER_SECONDS, allow_redirects=False, **what
            )
        except (requests.RequestException, OSError, ValueError) as error:
            why = type(error).__name__
            raise DrillFailed(f"Web does not answer at {url} ({why}): start it, or give --url.") from error
    try:
        return answer.status_code, dict(answer.json())
    except (ValueError, TypeError):
        said = f"At {url} something else than Versus Incident answered {answer.status_code}"
        raise DrillFailed(f"{said}: check the address.") from None


def _verdict(incident: Incident) -> str:
    resolve_event_at = next(
        (e.at for e in reversed(incident.timeline) if e.event == "resolve_event_sent"), None
    )
    page, resolve_event = (
        (done - due).total_seconds() if done is not None and due is not None else 0.0
        for done, due in ((incident.escalated_at, incident.due_at), (resolve_event_at, incident.resolved_at))
    )
    return (
        f"Everything works: the page was accepted {page:.3f} s after it was due, "
        f"the resolve event {resolve_event:.3f} s after the incident was resolved."
    )
