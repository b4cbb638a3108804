"""Two installations are two problems, though their groups have one key; two nodes of a cluster are one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.bootstrap import Services
from app.domain.alert import Alert, Effect
from app.domain.report import MARKS_LIMIT
from app.domain.state import State
from app.ingest.service import Options, Received, ReceivedAlert, receive

DEFAULT = Options()


def group(
    installation: str,
    firing: Sequence[str] = (),
    ended: Sequence[str] = (),
    effect: Effect = Effect.FIRING,
) -> ReceivedAlert:
    alert = Alert(
        title="API server is gone",
        source="alertmanager",
        effect=effect,
        identity="group",
        members=dict.fromkeys(firing, "critical"),
        ended_members=tuple(ended),
        installation=installation,
    )
    return ReceivedAlert(alert, "{}")


def over(installation: str, *ended: str) -> ReceivedAlert:
    return group(installation, (), ended, Effect.RESOLVED)


def taken(services: Services, *messages: ReceivedAlert, options: Options = DEFAULT) -> list[str | None]:
    """The ID of the incident that each became a part of, one request for each."""
    received = [one for message in messages for one in receive(services, [message], options)]
    return [one.incident.id if one.incident else None for one in received]


def at_once(services: Services, *messages: ReceivedAlert) -> list[Received]:
    gate = threading.Barrier(len(messages))

    def send(message: ReceivedAlert) -> Received:
        gate.wait()
        return receive(services, [message], DEFAULT)[0]

    with ThreadPoolExecutor(len(messages)) as pool:
        return list(pool.map(send, messages))


def test_no_alert_in_common_is_another_problem(services: Services) -> None:
    eu, us, *again = taken(services, group("eu", "a"), group("us", "b"), group("us", "c"), group("eu", "d"))
    assert eu != us
    assert again == [us, eu]


def test_an_array_of_two_installations_is_two_problems(services: Services) -> None:
    messages = [group("eu", "a"), group("us", "b"), over("us", "b"), group("eu", "c")]
    one, other, ended, again = (r.incident for r in receive(services, messages, DEFAULT) if r.incident)
    assert (one.id, other.id) == (again.id, ended.id)
    assert one.id != other.id
    assert (ended.state, again.state) == (State.RESOLVED, State.PENDING)


def test_an_alert_in_common_makes_another_node_part_of_the_cluster(services: Services) -> None:
    ids = taken(services, group("node 1", "ab"), group("node 2", "bc"), group("node 2", "x"), over("node 2"))
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    "message", [group("node 2", "b", "a"), over("node 2", "a")], ids=["firing", "resolved"]
)
def test_alerts_that_are_over_are_in_common_too(services: Services, message: ReceivedAlert) -> None:
    first, _, again = taken(services, group("node 1", "ab"), group("node 1", "b", "a"), message)
    assert first == again


def test_a_resolved_of_an_unknown_installation_resolves_nothing(services: Services) -> None:
    [incident] = taken(services, group("eu", "a"))
    assert taken(services, over("us", "b")) == [None]
    assert incident is not None
    assert services.store.incidents.require(incident).state is State.PENDING


def test_of_two_that_have_come_to_share_an_alert_each_goes_on_with_its_own(services: Services) -> None:
    one, other = taken(services, group("node 1", "a"), group("node 2", "b"))
    assert one != other
    both = [group("node 1", "ab"), group("node 2", "ab"), over("node 1", *"ab"), over("node 2", *"ab")]
    assert taken(services, *both) == [one, other, one, other]


def test_what_is_resolved_is_nobodys_any_more(services: Services) -> None:
    eu, us, _, again, still = taken(
        services, group("eu", "a"), group("us", "b"), over("eu", "a"), group("eu", "a"), group("us", "b")
    )
    assert again not in (eu, us)
    assert still == us


def test_at_the_same_instant_nodes_are_one_and_installations_are_many(services: Services) -> None:
    for n in range(10):
        nodes = [group(f"{n} node {i}", [f"{n}", f"{n} {i}"]) for i in range(4)]
        others = [group(f"{n} other {i}", [f"{n} of {i}"]) for i in range(4)]
        received = at_once(services, *nodes, *others)
        ids = [one.incident.id for one in received if one.incident]
        assert len(set(ids[:4])) == 1
        assert len(set(ids)) == 5
        assert [one.became for one in received].count("created") == 5


def test_an_installation_stays_known_however_many_alerts_it_has_had(services: Services) -> None:
    first, *_ = taken(services, group("eu", "a"), group("us", "z"))
    for start in range(0, 3 * MARKS_LIMIT, MARKS_LIMIT):
        [again] = taken(services, group("eu", [f"{n}" for n in range(start, start + MARKS_LIMIT)]))
        assert again == first
    assert first is not None
    assert len(services.store.incidents.require(first).marks) == MARKS_LIMIT


def test_a_namespace_keeps_apart_what_bodies_do_not(services: Services) -> None:
    message = ReceivedAlert(Alert(title="Disk full", source="generic", identity="k"), "{}")
    named = [Options(namespace=name) for name in (None, "eu", "us", "eu", "")]
    plain, eu, us, again, empty = (taken(services, message, options=options)[0] for options in named)
    assert len({plain, eu, us}) == 3
    assert (again, empty) == (eu, plain)
