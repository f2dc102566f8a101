"""Times of deployed sessions: what is timed, per sample, and how it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.study.finalists import Finalists
from search.work.item_runner import ItemRunner
from search.work.kinds.time import TimeModels, _times
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import conv_net, write

GOAL = [{"metric": "cosine", "output": "logits", "min_value": 0.5}]


@pytest.mark.parametrize(("axis", "asked", "batch"), [("N", 1, 1), ("N", 64, 20), ("4", 64, 4)])
def test_every_configuration_is_timed_beside_float(tmp_path: Path, axis: str, asked: int, batch: int) -> None:
    files = write(tmp_path, conv_net(loud=1.0, batch=axis), n=20)
    run = MemoryRun(local_problem(files, target="ort-cpu", goal=GOAL, search={"measure": True}))
    finished = run.run()
    assert isinstance(finished.finalists, Finalists)
    evaluation = finished.session.setting.evaluation
    configurations = finished.finalists.configurations
    work = TimeModels(reference=evaluation.reference, seed=0, configurations=configurations, batch=asked)
    found = work.run(ItemRunner(run.problem, run)).value
    assert found.batch == batch
    assert len(found.seconds) == 1 + len(configurations)
    assert min(found.seconds) > 0.0
    assert found.rounds >= 3


def test_quick_models_run_several_times_and_slow_ones_in_few_rounds() -> None:
    """By a clock of the test: every run takes what the model says."""
    now = [0.0]

    def work(seconds: float) -> None:
        now[0] += seconds

    for seconds, repeats, rounds in ((1e-4, 20, 15), (1.0, 1, 7), (6.0, 1, 3)):
        steady, n, taken = _times([lambda s=seconds: work(s), lambda s=seconds: work(2 * s)], lambda: now[0])
        assert (n, taken) == (repeats, rounds)
        np.testing.assert_allclose(steady.seconds / n, [seconds, 2 * seconds], rtol=1e-9)
        assert steady.noise == pytest.approx(0.0, abs=1e-9)
