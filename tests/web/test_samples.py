"""Every sample body, sent as its sender sends it: whatever its form, it is answered as its file says."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
import responses
from flask.testing import FlaskClient

from tests.senders.samples import SAMPLES, Sample


def raw_of(sample: Sample) -> bytes:
    """The body of the request."""
    if "raw_base64" in sample:
        return b64decode(sample["raw_base64"])
    text: str = sample["raw"] if "raw" in sample else json.dumps(sample["body"])
    return text.encode()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_answered_as_expected_and_fetches_nothing(client: FlaskClient, name: str) -> None:
    sample = SAMPLES[name]
    expect = sample["expect"]
    # Fails at every request that leaves the process.
    with responses.RequestsMock():
        answer = client.open(
            "/api/incidents",
            method=sample.get("method", "POST"),
            headers=sample.get("headers", {}),
            query_string=sample.get("query", {}),
            data=raw_of(sample),
        )
    assert answer.status_code in expect.get("http", [200, 201]), answer.text
    if "count" in expect:
        assert answer.get_json().get("count", 0) == expect["count"]
    if "incidents" in expect:
        titles = [incident and incident["title"] for incident in answer.get_json()["incidents"]]
        for title, one in zip(titles, expect["incidents"], strict=True):
            assert title == one.get("title", title)
