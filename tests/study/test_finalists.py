"""On the runtime that is right here, the clock decides between what meets the goals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from search.errors import UsageError
from search.evaluation.configuration import Configuration
from search.records.verdict import Outcome
from search.study.finalists import FLOOR
from search.study.intake import first_look
from search.study.plan import Finished, Replay
from search.study.result import Measured, study_result
from search.tasks import AnyItem
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds.time import TimeModels, Timing
from tests.builders import model, node, save
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files, conv_net, write

SCHEMA = json.loads(resources.files("search.records").joinpath("result.schema.json").read_text())
LOOSE = [{"metric": "cosine", "output": "logits", "min_value": 0.5}]


@dataclass
class Clocked(MemoryRun):
    """A run whose clock says what the test wants: seconds of float, all_high and everything else."""

    seconds: tuple[float, float, float] = (1.0, 1.0, 0.5)
    noise: float = 0.0
    dynamic: float = 0.25

    def keep(self, item: AnyItem, raw: Raw[object], seconds: float = 0.0) -> None:
        if isinstance(item.work, TimeModels):
            plain, high, other = self.seconds
            times = [high if _is_float(one) else other for one in item.work.configurations]
            raw = replace(
                raw,
                value=Timing(
                    seconds=(plain, *times, *(self.dynamic for _ in item.work.files)),
                    noise=self.noise,
                    batch=1,
                    rounds=15,
                ),
            )
        super().keep(item, raw, seconds)


def searched(folder: Path, *, target: str = "ort-cpu", measure: bool | None = None, **clock: Any) -> Clocked:
    search = {"strategy": "auto", "measure": measure}
    return Clocked(
        local_problem(write(folder, conv_net(loud=1.0), n=80), target=target, goal=LOOSE, search=search), **clock
    )


def _is_float(configuration: Configuration) -> bool:
    return all(one.is_float for one in configuration.effective.precisions)


def kinds(run: MemoryRun) -> Sequence[str]:
    return [item.kind.name for item in run.order]


def told(run: MemoryRun, finished: Finished) -> Any:
    return study_result(run.problem, finished, Measured(seconds=0.0, stopped=None), run.get)


def test_the_fastest_is_delivered_and_float_is_evaluated_where_it_is_fastest(tmp_path: Path) -> None:
    run = searched(tmp_path, seconds=(1.0, 0.9, 2.0))
    finished = run.run()
    result = told(run, finished)
    assert finished.chosen is not None
    assert _is_float(finished.chosen.configuration)
    assert result.outcome is Outcome.MET
    assert result.timing is not None
    assert (result.timing.chosen, result.timing.changed_the_answer) == (pytest.approx(900.0), True)
    assert result.minimal is None
    assert {"clock-decided", "float-chosen"} <= {one.code for one in result.findings}
    assert run.document(finished)["timing"]["models"][0]["milliseconds"] == 1000.0


def test_what_is_slower_than_float_says_so(tmp_path: Path) -> None:
    run = searched(tmp_path, seconds=(1.0, 2.0, 1.5))
    finding = next(one for one in told(run, run.run()).findings if one.code == "not-faster-than-float")
    assert "1500 ms" in finding.message
    assert "1000 ms" in finding.message


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_within_the_noise_the_estimate_decides(tmp_path: Path, noise: float) -> None:
    """Float is a little faster: by less than the floor at least, or by less than the noise."""
    run = searched(tmp_path, seconds=(1.0, 1.0, 1.0 + max(FLOOR, noise) * 0.9), noise=noise)
    result = told(run, run.run())
    assert result.timing is not None
    assert not result.timing.changed_the_answer
    assert not any(one.stage == "all high" for one in result.trials)


def test_nothing_is_timed_where_it_is_not_wanted_or_cannot_be(tmp_path: Path) -> None:
    for name, more in (("a", {"measure": False}), ("b", {"target": "j6m"})):
        (tmp_path / name).mkdir()
        run = searched(tmp_path / name, **more)
        result = told(run, run.run())
        assert result.timing is None
        assert "time" not in kinds(run)


def test_a_stop_before_the_clock_delivers_the_cheapest(tmp_path: Path) -> None:
    run = searched(tmp_path)
    replay, runner = Replay(run.problem), ItemRunner(run.problem, run)
    while tasks := replay.advance(run.results, "time" if "evaluate" in kinds(run) else None):
        run.computing(runner, tasks[0])
    assert replay.finished is not None
    assert replay.finished.chosen is not None
    assert told(run, replay.finished).timing is None


def products(folder: Path, **clock: Any) -> Clocked:
    """A network of products only."""
    rng = np.random.default_rng(0)
    nodes = [node("MatMul", "x w1", "a", "m1"), node("Relu", "a", "r", "relu"), node("MatMul", "r w2", "logits", "m2")]
    weights = {"w1": rng.normal(size=(16, 32)), "w2": rng.normal(size=(32, 4))}
    for name in ("c", "e"):
        np.savez(folder / f"{name}.npz", x=rng.normal(size=(40, 16)).astype(np.float32))
    files = Files(save(model(nodes, ["x[N,16]"], ["logits[N,4]"], weights), folder), folder / "c.npz", folder / "e.npz")
    search = {"strategy": "auto", "measure": True}
    return Clocked(local_problem(files, target="ort-cpu", goal=clock.pop("goal", LOOSE), search=search), **clock)


def test_dynamic_quantization_lies_beside_where_it_is_faster_and_good_enough(tmp_path: Path) -> None:
    run = products(tmp_path, seconds=(1.0, 1.0, 0.5), dynamic=0.25)
    finished = run.run()
    result, files = told(run, finished), run.files(finished)
    assert result.timing.file == "model.dynamic.onnx"
    row = result.timing.models[-1]
    assert (row.name, row.trial, row.is_met, row.milliseconds) == ("dynamic quantization", None, True, 250.0)
    assert 0.9 < row.values["cosine@logits"] <= 1.0
    assert b"MatMulInteger" in files["model.dynamic.onnx"]
    assert "dynamic-is-faster" in {one.code for one in result.findings}
    jsonschema.Draft202012Validator(SCHEMA).validate(run.document(finished))


@pytest.mark.parametrize(
    ("goal", "dynamic"),
    [
        ([{"metric": "cosine", "output": "logits", "min_value": 0.5}], 0.49),
        ([{"metric": "sqnr_db", "min_value": 90}], 0.1),
    ],
)
def test_dynamic_quantization_is_told_and_not_delivered_otherwise(
    tmp_path: Path, goal: Sequence[dict[str, Any]], dynamic: float
) -> None:
    """Not faster by more than the floor, or not good enough."""
    run = products(tmp_path, goal=goal, dynamic=dynamic)
    finished = run.run()
    assert "model.dynamic.onnx" not in run.files(finished)
    assert told(run, finished).timing.file is None


def test_convolutions_are_not_tried_dynamically(tmp_path: Path) -> None:
    run = searched(tmp_path)
    run.run()
    assert "dynamic" not in kinds(run)


def test_the_times_are_taken_once(tmp_path: Path) -> None:
    run = searched(tmp_path)
    first = told(run, run.run())
    run.seconds = (1.0, 9.0, 9.0)
    assert told(run, run.run()) == first
    assert kinds(run).count("time") == 1


def test_a_chip_cannot_be_timed_here(tmp_path: Path) -> None:
    run = searched(tmp_path, target="j6m", measure=True)
    with pytest.raises(UsageError, match=r"--measure .* times models on this machine, but j6m is another one"):
        first_look(ItemRunner(run.problem, run))
