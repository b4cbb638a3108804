"""Requests to incident.io with an API key of the account.

Nothing here may do harm: an answer that is not understood is "not known", is logged once, and nothing follows
from it; a limit on this key is none on alert sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr

from app.destinations.http import Bearer, Http, HttpAnswer, NoAnswer
from app.destinations.incident_io.answer import Asked, judge, parsed
from app.domain.delivery import Outcome
from app.telemetry import log

# Alerts have many attributes, schedules a whole configuration.
ANSWER_BYTES = 2**20
NOT_UNDERSTOOD = "not_understood"
ASKED = Asked(
    "incident.io",
    "INCIDENTIO_BASE_URL",
    "oncall.incident_io.account_api_key (INCIDENTIO_ACCOUNT_API_KEY) and its roles",
    "INCIDENTIO_BASE_URL",
)


class NotKnown(Exception):
    """There is no answer, or none that is understood; the outcome says why, and whether to try again."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class Account:
    """incident.io's API, as far as a key of the account may use it. All raise `NotKnown`."""

    def __init__(self, base_url: str, key: SecretStr) -> None:
        self._base = base_url
        self._auth = Bearer(key)
        self._http = Http(answer_bytes=ANSWER_BYTES)
        self._logged: set[str] = set()

    def get(
        self, path: str, deadline: float, query: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Any]:
        """The JSON object that is there."""
        url = f"{self._base}/v2/{path}" + (f"?{urlencode(query)}" if query else "")
        answer = self._answered(self._http.get(url, auth=self._auth, deadline=deadline))
        found = parsed(answer.body)
        if answer.status != 200 or not found:
            raise not_understood(f"{answer.status} without a JSON object")
        return found

    def post(self, path: str, body: bytes, deadline: float) -> None:
        """Any 2xx is success."""
        self._answered(self._http.post(f"{self._base}/v2/{path}", body, auth=self._auth, deadline=deadline))

    def note(self, reason: NotKnown) -> None:
        """Log it, once for each kind."""
        outcome = reason.outcome
        kind = outcome.detail if outcome.reason == NOT_UNDERSTOOD else outcome.reason
        if kind not in self._logged:
            self._logged.add(kind)
            log.warning("account_answer_not_known", detail=outcome.detail, then="nothing follows from it")

    def _answered(self, answer: HttpAnswer | NoAnswer) -> HttpAnswer:
        outcome = judge(answer, ASKED, datetime.now(UTC), self._auth.redact)
        if isinstance(answer, HttpAnswer) and outcome.delivered:
            return answer
        if outcome.verdict == "try_again":
            # Too many for this key are not too many for an alert source: no page may wait for that.
            raise NotKnown(replace(outcome, back_off_all=False))
        raise NotKnown(replace(outcome, verdict="final"))


def not_understood(why: str) -> NotKnown:
    """An answer is not as it is documented."""
    detail = f"An answer of incident.io was not understood: {why}."
    return NotKnown(Outcome("final", detail, NOT_UNDERSTOOD))


def objects(fields: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The list of objects with that name. Raises `NotKnown`."""
    found = fields.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise not_understood(f"it has no list of {name}")
    return found


def text(fields: Mapping[str, Any], name: str) -> str:
    """The text with that name. Raises `NotKnown`."""
    found = fields.get(name)
    if not isinstance(found, str) or not found:
        raise not_understood(f"{name} is no text")
    return found
