"""What the service itself has to report is an incident like any other."""

from __future__ import annotations

from dataclasses import replace

from app import actions, page
from app.gateway import Gateway
from app.own_incident import report
from app.receive import Options
from app.state import State
from tests.fakes import PAGER, Clock, RecordingProvider


def test_it_pages_like_any_other(gateway: Gateway, clock: Clock, provider: RecordingProvider) -> None:
    opened = report(gateway, "lost 7", "Redis lost data", "In words.", severity="high", details={"n": 3})
    assert (opened.source, opened.severity, opened.state) == ("versus", "high", State.PENDING)
    assert gateway.store.incidents.payload(opened.id) == {"n": 3}
    clock.wind(minutes=3)
    page.deliver(gateway, opened.id, [PAGER])
    assert provider.told() == [("firing", opened.id)]


def test_the_same_key_joins_it_while_it_is_open(gateway: Gateway) -> None:
    first = report(gateway, "a", "One", "")
    again = report(gateway, "a", "Two", "")
    assert (again.id, again.occurrences, again.title) == (first.id, 2, "Two")
    assert report(gateway, "b", "One", "").id != first.id
    actions.resolve(gateway, first.id, "Ada")
    assert report(gateway, "a", "One", "").id != first.id


def test_where_nobody_can_be_paged_it_is_open(gateway: Gateway) -> None:
    oncall = gateway.config.oncall.model_copy(
        update={"incident_io": gateway.config.oncall.incident_io.model_copy(update={"api_key": None})}
    )
    silent = replace(gateway, config=gateway.config.model_copy(update={"oncall": oncall}))
    assert report(silent, "a", "One", "").state is State.OPEN


def test_it_may_be_asked_not_to_page(gateway: Gateway) -> None:
    assert report(gateway, "a", "One", "", options=Options(oncall_enable=False)).state is State.OPEN
