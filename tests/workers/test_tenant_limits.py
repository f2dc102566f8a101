"""Limits of tenants with real workers: what is held waits in its row, and goes on to the same answer."""

from __future__ import annotations

from itertools import pairwise

import pytest

from service.store.db import tenants, turns
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.study.small import Files
from tests.workers.installation import Installation

TOP1 = [{"metric": "top1", "max_drop": 0.01}]
WAIT_S = 240.0


@pytest.mark.slow
def test_only_so_many_studies_of_a_tenant_run_at_once(service: Installation, small: Files) -> None:
    with service.database.writing() as connection:
        tenants.set_limits(connection, service.tenant, max_running=1)
    studies = [service.submit(small, goal=TOP1) for _ in range(3)]
    service.start()
    rows = sorted((service.wait(study, WAIT_S) for study in studies), key=lambda row: row.started or row.created)
    assert [row.id for row in rows] == studies, "equal priority: the oldest first"
    for before, after in pairwise(rows):
        assert before.finished is not None
        assert after.started is not None
        assert before.finished <= after.started


@pytest.mark.slow
def test_a_tenant_that_used_up_its_day_waits_and_goes_on_to_the_same_answer(
    service: Installation, small: Files
) -> None:
    with service.database.writing() as connection:
        tenants.set_limits(connection, service.tenant, day_seconds=1e-6)
    study = service.submit(small, goal=TOP1)
    service.start()
    service.wait(study, WAIT_S, until=lambda row: row.state == "queued" and bool(service.stored(study)))
    with service.database.reading() as connection:
        (share,) = turns.read_shares(connection, tenants.defaults_of(service.settings))
    assert (share.held_by, share.waiting, share.running) == ("seconds", 1, 0)
    with service.database.writing() as connection:
        tenants.set_limits(connection, service.tenant, day_seconds=None)
    assert service.wait(study, WAIT_S).state == "succeeded"
    run = MemoryRun(local_problem(small, goal=TOP1))
    assert service.result(study) == without_times(run.document(run.run()))
    assert not service.again(study)
