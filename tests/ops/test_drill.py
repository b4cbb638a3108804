"""Who has to page for a drill to be content."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.delivery import Delivery
from app.ops.drill import DrillFailed, check_who_paged
from tests.factories import opened
from tests.fakes import EPOCH, INFRA, PAGER

TAKEN = Delivery(accepted="firing", accepted_at=EPOCH)
REFUSED = Delivery(failed=True, last_error="incident.io answered 401.")
FALLBACK = replace(TAKEN, fallback=True)


def test_the_one_that_was_to_page_did() -> None:
    check_who_paged(replace(opened(), pagers={PAGER: TAKEN}))


def test_a_fallback_that_paged_is_no_proof_that_the_first_one_would() -> None:
    said = "^incident_io/infra paged, since incident_io/default did not accept the page. incident.io answered"
    with pytest.raises(DrillFailed, match=said):
        check_who_paged(replace(opened(), pagers={PAGER: REFUSED, INFRA: FALLBACK}))
