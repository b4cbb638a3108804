"""What the service itself has to report is an incident like any other."""

from __future__ import annotations

from dataclasses import replace

from app import actions
from app.bootstrap import Services
from app.delivery import pages
from app.domain.state import State
from app.ingest.own_incident import report
from app.ingest.service import Options
from tests.fakes import PAGER, Clock, RecordingProvider


def test_it_pages_like_any_other(services: Services, clock: Clock, provider: RecordingProvider) -> None:
    opened = report(services, "lost 7", "Redis lost data", "In words.", severity="high", details={"n": 3})
    assert (opened.source, opened.severity, opened.state) == ("versus", "high", State.PENDING)
    assert services.store.incidents.payload(opened.id) == {"n": 3}
    clock.wind(minutes=3)
    pages.deliver(services, opened.id, [PAGER])
    assert provider.notified() == [("firing", opened.id)]


def test_the_same_key_joins_it_while_it_is_open(services: Services) -> None:
    first = report(services, "a", "One", "")
    again = report(services, "a", "Two", "")
    assert (again.id, again.occurrences, again.title) == (first.id, 2, "Two")
    assert report(services, "b", "One", "").id != first.id
    actions.resolve(services, first.id, "Ada")
    assert report(services, "a", "One", "").id != first.id


def test_where_nobody_can_be_paged_it_is_open(services: Services) -> None:
    oncall = services.config.oncall.model_copy(
        update={"incident_io": services.config.oncall.incident_io.model_copy(update={"api_key": None})}
    )
    silent = replace(services, config=services.config.model_copy(update={"oncall": oncall}))
    assert report(silent, "a", "One", "").state is State.OPEN


def test_it_may_be_asked_not_to_page(services: Services) -> None:
    assert report(services, "a", "One", "", options=Options(oncall_enable=False)).state is State.OPEN
