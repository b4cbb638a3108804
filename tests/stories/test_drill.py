"""Story: `versus drill` pages for real, times each hop, names the one that fails, and always cleans up."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable

import pytest
import requests

from app.store import Store
from local.embedded import EmbeddedRedis
from tests.fakes import API_KEY, GATEWAY_SECRET
from tests.stories.stack import Stack, wait_until

INTAKE_SECRET = "planted-intake-2f70"
ID = re.compile(r"incident ([0-9a-f-]{36})")


def ended(drill: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and all that it wrote; never a secret."""
    output, _ = drill.communicate(timeout=60)
    assert not [secret for secret in (API_KEY, GATEWAY_SECRET, INTAKE_SECRET) if secret in output]
    return drill.returncode, output


def incident_of(output: str) -> dict[str, str]:
    found = ID.search(output)
    assert found, output
    return {"id": found[1]}


def test_the_page_and_its_resolve_event_arrive_and_each_hop_is_timed(stack: Stack) -> None:
    status, output = ended(stack.versus("drill", "--wait", "1"))
    assert status == 0, output
    incident = stack.show(incident_of(output))
    assert incident["state"] == "resolved"
    firing, resolved = stack.simulator.events(incident["id"])
    assert (firing.body["status"], resolved.body["status"]) == ("firing", "resolved")
    assert firing.body["metadata"]["alert_title"].startswith("[DRILL] ")
    assert firing.body["metadata"]["label_drill"] == "true"
    hops = (
        "sent to",
        "stored",
        "scheduled",
        "due",
        "claimed",
        "page accepted",
        "resolved",
        "resolve event accepted",
    )
    places = [re.search(rf"^ +[0-9.]+ s  {hop}", output, re.MULTILINE) for hop in hops]
    assert [place.start() for place in places if place] == sorted(p.start() for p in places if p), output
    assert None not in places, output
    assert output.count("  due\n") == 1
    assert re.search(r"^ +1\.\d{3} s  due$", output, re.MULTILINE), output
    assert output.splitlines()[-1].startswith("Everything works: the page was accepted 0.")
    last = Store(stack.redis.url).drills.last()
    assert last is not None
    assert (last.passed, last.verdict) == (True, output.splitlines()[-1])


def test_a_page_that_is_accepted_at_the_second_attempt_is_a_success(stack: Stack) -> None:
    stack.simulator.answer_next(503, body={"request_id": "req-7"})
    status, output = ended(stack.versus("drill", "--wait", "0"))
    assert status == 0, output
    assert "attempt failed: incident.io answered 503 (request req-7)" in output
    assert "claimed by a worker: attempt 2" in output


@pytest.mark.parametrize(("answer", "words"), [(503, "answered 503"), (401, "check the API key")])
def test_it_says_so_when_incident_io_refuses(answer: int, words: str, stack: Stack) -> None:
    stack.simulator.answer_with(answer)
    status, output = ended(stack.versus("drill", "--wait", "0", "--timeout", "2"))
    assert status == 1
    assert "FAILED: incident.io did not accept the page within 2 s." in output
    assert words in output.splitlines()[-1]
    assert stack.show(incident_of(output))["state"] == "resolved"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_resolves_what_it_created(how: signal.Signals, stack: Stack) -> None:
    drill = stack.versus("drill", "--wait", "600")
    assert drill.stdout is not None
    line = next(line for line in drill.stdout if "accepted by web" in line)
    drill.send_signal(how)
    status, output = ended(drill)
    assert (status, output.splitlines()[-1][:7]) == (1, "FAILED:")
    assert "Traceback" not in output
    incident = stack.show(incident_of(line))
    assert incident["state"] == "resolved"
    assert stack.simulator.events(incident["id"]) == []


def test_somebody_who_acknowledges_it_before_it_pages_ends_it(stack: Stack) -> None:
    drill = stack.versus("drill", "--wait", "600")
    assert drill.stdout is not None
    line = next(line for line in drill.stdout if "accepted by web" in line)
    stack.act(incident_of(line), "ack")
    status, output = ended(drill)
    assert status == 1
    assert "FAILED: The drill was acknowledged before it paged" in output
    assert stack.show(incident_of(line))["state"] == "resolved"


def test_web_with_another_redis_is_found_out_and_left_clean(stack: Stack, server: EmbeddedRedis) -> None:
    status, output = ended(stack.versus("drill", "--wait", "600", REDIS_URL=server.url))
    assert status == 1
    assert "another Redis" in output
    listed = requests.get(
        f"{stack.base}/api/incidents",
        params={"q": "drill", "limit": "1"},
        headers={"X-Gateway-Secret": GATEWAY_SECRET},
        timeout=60,
    )
    [newest] = listed.json()["incidents"]
    assert newest["title"].startswith("[DRILL] ")
    assert newest["state"] == "resolved"


def test_it_names_the_process_that_is_away(own: Callable[..., Stack]) -> None:
    stack = own(config={"intake_secret": INTAKE_SECRET})
    status, output = ended(stack.versus("drill", "--wait", "0", "--url", stack.base))
    assert status == 0, output
    stack.workers[0].kill()
    status, output = ended(stack.versus("drill", "--wait", "0", "--timeout", "1"))
    assert (status, "FAILED: No worker claimed the page within 1 s" in output) == (1, True), output
    assert stack.show(incident_of(output))["state"] == "resolved"
    stack.redis.kill()
    status, output = ended(stack.versus("drill", "--wait", "0"))
    assert (status, "FAILED: Redis can't be reached" in output) == (1, True), output
    stack.redis.start()
    stack.web.kill()
    status, output = ended(stack.versus("drill", "--wait", "0"))
    assert (status, "FAILED: Web does not answer at" in output) == (1, True), output


def test_a_refusal_of_web_is_shown_in_its_own_words(stack: Stack) -> None:
    status, output = ended(stack.versus("drill", "--url", stack.base + "/wrong"))
    assert status == 1
    assert "FAILED: Web refused the incident with 404" in output
    status, output = ended(stack.versus("drill", "--url", stack.simulator.base_url))
    assert (status, "check the address" in output) == (1, True), output


def test_its_help_warns_that_it_pages(stack: Stack) -> None:
    status, output = ended(stack.versus("drill", "--help"))
    assert status == 0
    assert "IT REALLY PAGES" in output
    status, output = ended(stack.versus("drill", "--wait", "soon"))
    assert (status, "'soon'" in output) == (2, True)
    wait_until(stack.is_ready, "the shared service is well")


def test_a_body_that_was_refused_is_taken_after_all(own: Callable[..., Stack]) -> None:
    stack = own(config={"intake_secret": "test-intake-secret-7a"})
    assert stack.post({"title": "Disk full"}).status_code == 401
    listed = stack.versus("rejected", "--json").communicate(timeout=60)[0]
    entry = json.loads(listed.splitlines()[-1])
    replayed = stack.versus("replay", entry["id"])
    said = replayed.communicate(timeout=60)[0]
    assert (replayed.returncode, "201: Incident created" in said) == (0, True), said
    [incident_id] = re.findall(r" id: (\S+)", said)
    assert stack.show({"id": incident_id})["title"] == "Disk full"
    again = stack.versus("replay", entry["id"])
    assert "404: There is no rejected body" in again.communicate(timeout=60)[0]
    assert again.returncode == 1
