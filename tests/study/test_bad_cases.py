"""Bad cases: where the ranking samples come from."""

from __future__ import annotations

import pytest

from search.data.order import sample_order
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import write

N = 300


@pytest.mark.parametrize("limit", ["all", 20])
def test_bad_cases_come_from_the_samples_that_are_looked_through(tmp_path, limit):
    run = MemoryRun(
        local_problem(write(tmp_path, n=N), goal=[{"metric": "top1", "max_drop": 0.01}], badcase={"samples": limit})
    )
    finished = run.run()
    looked = set(sample_order(N, seed=0)[: N if limit == "all" else limit].tolist())
    worst = [trial.worst for trial in finished.session.trials if trial.worst]
    named = {sample for one in worst for by_error in one.values() for found in by_error.values() for sample, _ in found}
    assert named
    assert named <= looked
    assert (len(named) > 20) is (limit == "all")
