"""Plays the senders, who repeat what got no answer, and the people, who act on what was answered."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.chaos.history import Action, Exchange, Seen
from tests.chaos.plan import Plan
from tests.chaos.planned import PlannedDeed, PlannedSilence, PlannedWebhook
from tests.chaos.platform import CHANNELS, FLOOD, Platform

SENDERS = 64
TIMEOUT = 12.0
# What a sender waits before it repeats.
PAUSE = 1.5
PATHS = {"acknowledge": "ack", "unacknowledge": "unack", "resolve": "resolve", "escalate_now": "escalate"}


class Load:
    """Sends the webhooks of a plan and does what people do about them, at their time."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._delivery_queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._busy = 0
        self._over = False
        self._local = threading.local()

    def run_until_done(self, began: float, plan: Plan, until: float) -> None:
        """Send everything, and return when all is answered and no deed is left before `until` (Unix time)."""
        for webhook in plan.webhooks:
            self._at(began + webhook.at, lambda webhook=webhook: self._send(webhook, 1))  # type: ignore[misc]
        for silence in plan.silences:
            self._at(began + silence.at, lambda silence=silence: self._silence(silence, 1))  # type: ignore[misc]
        while self._step(until):
            pass
        self._pool.shutdown(wait=True)

    def _step(self, until: float) -> bool:
        with self._changed:
            now = time.time()
            if self._delivery_queue and self._delivery_queue[0][0] <= min(now, until):
                work = heapq.heappop(self._delivery_queue)[2]
                self._busy += 1
                self._pool.submit(self._do, work)
                return True
            soon = self._delivery_queue[0][0] if self._delivery_queue else float("inf")
            if soon > until and self._busy == 0:
                return False
            self._changed.wait(min(1.0, max(0.0, soon - now)))
            return True

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _at(self, at: float, work: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._delivery_queue, (at, next(self._order), work))
            self._changed.notify_all()

    # -- senders -----------------------------------------------------------------------------------------

    def _send(self, webhook: PlannedWebhook, attempt: int) -> None:
        web = (webhook.web + attempt - 1) % len(self._platform.bases)
        url = f"{self._platform.bases[web]}/api/incidents"
        sent_at = time.time()
        answer, note = self._post(
            url,
            json=webhook.body,
            params=webhook.parameters | {"channels": _channel(webhook)},
            headers=_headers(webhook),
        )
        shown = _incidents(answer)
        exchange = Exchange(
            action=webhook.effect,
            sent_at=sent_at,
            answered_at=None if answer is None else time.time(),
            marker=webhook.marker,
            attempt=attempt,
            web=web,
            problem=webhook.problem,
            source=webhook.source,
            adds=webhook.adds,
            channel=_channel(webhook),
            wait=webhook.wait,
            grows=webhook.grows,
            worse=webhook.worse,
            status=None if answer is None else answer.status_code,
            retry_after=answer is not None and "Retry-After" in answer.headers,
            incidents=tuple(_seen(one) for one in shown),
            note=note,
        )
        self._platform.history.exchanges.append(exchange)
        if exchange.status in (None, 503):
            if attempt < webhook.tries:
                self._at(time.time() + PAUSE, lambda: self._send(webhook, attempt + 1))
        elif exchange.status == 201:
            for deed in webhook.deeds:
                self._plan_deed(exchange, shown, deed)

    # -- people ------------------------------------------------------------------------------------------

    def _plan_deed(self, exchange: Exchange, shown: list[dict[str, Any]], deed: PlannedDeed) -> None:
        incident = shown[deed.element % len(shown)]
        due_at = moment(incident["due_at"])
        if due_at is None:
            return
        base = due_at if deed.after == "due" else exchange.answered_at or exchange.sent_at
        self._at(base + deed.offset, lambda: self._deed(exchange, incident, deed))

    def _deed(self, exchange: Exchange, incident: dict[str, Any], deed: PlannedDeed) -> None:
        base = self._platform.bases[deed.web]
        headers = {"Accept": "application/json"}
        if deed.by_link:
            link = urlsplit(incident["ack_url"])
            url = f"{base}{link.path}?{link.query}"
        else:
            url = f"{base}/api/incidents/{incident['id']}/{PATHS[deed.deed]}"
            headers["X-Gateway-Secret"] = self._platform.webs[deed.web].secret
        # The page behind the link has a form, the API takes JSON.
        said = {} if deed.minutes is None else {"minutes": deed.minutes}
        sent_at = time.time()
        answer, note = self._post(url, headers=headers, **{"data" if deed.by_link else "json": said})
        shown = _incidents(answer)
        self._platform.history.exchanges.append(
            Exchange(
                action=deed.deed,
                sent_at=sent_at,
                answered_at=None if answer is None else time.time(),
                marker=exchange.marker,
                web=deed.web,
                problem=exchange.problem,
                source=exchange.source,
                incident=incident["id"],
                minutes=deed.minutes,
                status=None if answer is None else answer.status_code,
                retry_after=answer is not None and "Retry-After" in answer.headers,
                incidents=tuple(_seen(one) for one in shown),
                note=note,
            )
        )

    def _silence(self, planned: PlannedSilence, attempt: int) -> None:
        sent_at = time.time()
        body = {"match": {"service": planned.problem}, "minutes": planned.minutes, "comment": planned.marker}
        answer, note = self._admin(planned.web, "/api/silences", json=body)
        made = answer.json()["silence"] if answer is not None and answer.status_code == 201 else {}
        # One that nobody answered may be made as late as its request was given up.
        end = moment(made.get("until")) or sent_at + TIMEOUT + 60 * planned.minutes
        exchange = self._of_silence("silence", planned, sent_at, answer, note, made.get("id"), end)
        self._platform.history.exchanges.append(exchange)
        if exchange.status in (None, 503) and attempt < planned.tries:
            self._at(time.time() + PAUSE, lambda: self._silence(planned, attempt + 1))
        elif made and planned.ends_after is not None:
            self._at(time.time() + planned.ends_after, lambda: self._end_silence(planned, made["id"], 1))

    def _end_silence(self, planned: PlannedSilence, silence: str, attempt: int) -> None:
        sent_at = time.time()
        answer, note = self._admin(planned.web, f"/api/silences/{silence}", "DELETE")
        exchange = self._of_silence("end_silence", planned, sent_at, answer, note, silence)
        self._platform.history.exchanges.append(exchange)
        if exchange.status in (None, 503) and attempt < planned.tries:
            self._at(time.time() + PAUSE, lambda: self._end_silence(planned, silence, attempt + 1))

    @staticmethod
    def _of_silence(
        action: Action,
        planned: PlannedSilence,
        sent_at: float,
        answer: requests.Response | None,
        note: str,
        silence: str | None,
        until: float | None = None,
    ) -> Exchange:
        return Exchange(
            action=action,
            sent_at=sent_at,
            answered_at=None if answer is None else time.time(),
            marker=planned.marker,
            web=planned.web,
            problem=planned.problem,
            silence=silence,
            until=until,
            status=None if answer is None else answer.status_code,
            retry_after=answer is not None and "Retry-After" in answer.headers,
            note=note,
        )

    def _admin(
        self, web: int, path: str, method: str = "POST", **more: Any
    ) -> tuple[requests.Response | None, str]:
        headers = {"X-Gateway-Secret": self._platform.webs[web].secret}
        return self._post(f"{self._platform.bases[web]}{path}", method, headers=headers, **more)

    def _post(self, url: str, method: str = "POST", /, **more: Any) -> tuple[requests.Response | None, str]:
        """The answer and its error, or None and why there is none."""
        session = self._local.__dict__.setdefault("session", requests.Session())
        try:
            answer: requests.Response = session.request(method, url, timeout=TIMEOUT, **more)
        except requests.RequestException as error:
            return None, type(error).__name__
        return answer, "" if answer.ok else answer.text[:300]


def _headers(webhook: PlannedWebhook) -> dict[str, str]:
    """What can't be read is packed in a way that nobody knows, and the error says which."""
    marker = webhook.marker
    return {"Content-Encoding": marker, "User-Agent": marker} if webhook.effect == "refused" else {}


def _channel(webhook: PlannedWebhook) -> str:
    """The channel that is to be notified; the same for all webhooks of a problem."""
    number = zlib.crc32((webhook.problem or webhook.marker).encode()) % (CHANNELS + FLOOD)
    return f"c{number if number < CHANNELS else 0}"


def moment(text: str | None) -> float | None:
    """Seconds, of a time as the API shows it."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def _incidents(answer: requests.Response | None) -> list[dict[str, Any]]:
    if answer is None or not answer.ok:
        return []
    try:
        body = answer.json()
    except ValueError:
        return []
    return [one for one in body.get("incidents", [body.get("incident")]) if one is not None]


def _seen(incident: dict[str, Any]) -> Seen:
    return Seen(id=incident["id"], state=incident["state"], due_at=moment(incident["due_at"]))
