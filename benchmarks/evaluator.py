"""What one evaluation costs: a graph built per candidate against one graph with switches.

``python -m benchmarks.evaluator --model M.onnx --calibration C.npz --evaluation E.npz`` prints, for a labelled
classifier, times of one pass over the evaluation set as multiples of a float evaluation, on one thread:

- *rebuild*: assemble the Q/DQ graph of a candidate, load it, run it; the way the search evaluates;
- *switches, activations*: one graph, an ``If`` behind every activation;
- *switches, every point by linearity*: the same, and every gemm with a second one for the rounding error of its
  weights behind an ``If``; the way sensitivity is measured, where at most one switch is on;
- *switches, weights behind If*: every weight itself behind an ``If``, which any candidate could use unchanged.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.assignment import Assignment
from search.evaluation.configuration import Calibration, Configuration, Treatment
from search.precision import Format
from search.quant.weights import dequantize_weights
from search.runtime.session import Level, Session
from search.sensitivity.points import Point, PointKind, points_of
from search.sensitivity.switched import Switched, switched_model
from search.spec.load import build_job
from search.study.plan import Replay
from search.targets.legalise import legalise, uniform
from search.targets.pins import resolve_pins
from search.tasks import ItemResult
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from service.local.inputs import LocalFiles, open_problem, processor
from service.local.store import RunStore

Feeds = list[dict[str, Any]]
Work = Callable[[], object]
FLOAT = "float evaluation"
INTEGERS = (Format.INT8, Format.INT16)


def prepared_bench(job: Mapping[str, Any], store: RunStore) -> tuple[ItemRunner, Calibration]:
    """Run a study as far as its calibration and return what evaluates candidates."""
    local = open_problem(build_job(job), base=Path())
    store.open(local.identity, force=False)
    runner, replay = ItemRunner(local.problem, LocalFiles(local.paths, store)), Replay(local.problem)
    while replay.progress.session is None:
        for task in replay.advance(store.results):
            for item, raw in run_items(runner, task):
                blobs = {name: store.put(data) for name, data in raw.blobs.items()}
                store.add(ItemResult(item.digest, item.kind.name, raw.data, blobs))
    return runner, replay.progress.session.setting.calibration


class Comparison:
    """The ways to evaluate, all on the same batches."""

    def __init__(self, runner: ItemRunner, calibration: Calibration) -> None:
        self._runner = runner
        self._calibration = calibration
        feeding = runner.loaded.feeding
        order = np.arange(runner.evaluation.n_samples)
        self._feeds: Feeds = [dict(runner.evaluation.batch(indices)) for indices, _ in feeding.slices(order)]

    @property
    def n_samples(self) -> int:
        """Samples of one pass."""
        return self._runner.evaluation.n_samples

    def ways(self) -> dict[str, Work]:
        """Everything that is timed, by name; the first is the float evaluation."""
        found: dict[str, Work] = {FLOAT: partial(self._run, self._runner.loaded.user_session)}
        for name, configuration in self._candidates().items():
            found[f"rebuild, {name}: build and load"] = partial(self._load, configuration)
            found[f"rebuild, {name}: run"] = partial(self._run, self._load(configuration))
        low = self._candidates()["all low"]
        points = points_of(self._runner.loaded.structure.network, self._runner.placement(low), INTEGERS)
        activations = tuple(point for point in points if point.kind is PointKind.ACTIVATION)
        for name, switched, behind_if in (
            ("switches, activations", activations, False),
            ("switches, every point by linearity", points, False),
            ("switches, weights behind If", activations, True),
        ):
            session, switches = self._switched(low, switched, weights_behind_if=behind_if)
            for state in (False, True):
                more = dict.fromkeys(switches, np.array(state))
                found[f"{name}: all {'on' if state else 'off'}"] = partial(self._run, session, more)
        return found

    def _candidates(self) -> dict[str, Configuration]:
        """All low, all high, and every second group high."""
        network, target = self._runner.loaded.structure.network, self._runner.problem.target
        low, high = uniform(network, target, "low"), uniform(network, target, "high")
        both = enumerate(zip(low.precisions, high.precisions, strict=True))
        named = {"all low": low, "all high": high, "mixed": Assignment(tuple(pair[g % 2] for g, pair in both))}
        found = {}
        for name, one in named.items():
            effective = legalise(network, target, one, pins=resolve_pins(network, target, ())).effective
            found[name] = Configuration(effective, self._calibration, Treatment())
        return found

    def _load(self, configuration: Configuration) -> Session:
        return Session(self._runner.qdq(configuration).model.SerializeToString(), level=Level.PINNED)

    def _switched(
        self, configuration: Configuration, points: Sequence[Point], *, weights_behind_if: bool
    ) -> tuple[Session, list[str]]:
        template, grids = self._runner.loaded.template, self._runner.grids(configuration)
        made = switched_model(template, self._runner.placement(configuration), grids, points, prescale={})
        switches = list(made.switches.values())
        if weights_behind_if:
            switches += self._switch_weights(made, configuration)
        return Session(made.model, level=Level.PINNED), switches

    def _switch_weights(self, made: Switched, configuration: Configuration) -> list[str]:
        """Put ``If(switch) then rounded else float`` before every quantized weight; return the switches."""
        graph, names = made.model.graph, []
        placement, grids = self._runner.placement(configuration), self._runner.grids(configuration)
        for c, constant in enumerate(self._runner.loaded.structure.network.constants):
            if not placement.constants[c].is_integer:
                continue
            grid = grids.weight(c, placement.constants[c])
            rounded = dequantize_weights(grid.values, grid.scales, grid.zero_points, grid.axis)
            stem = f"weight/{c}"
            graph.initializer.append(numpy_helper.from_array(np.asarray(rounded, np.float32), f"{stem}/rounded"))
            branches = [_choice(f"{stem}/rounded", f"{stem}/then"), _choice(constant.name, f"{stem}/else")]
            graph.input.append(helper.make_tensor_value_info(f"{stem}/on", TensorProto.BOOL, []))
            names.append(f"{stem}/on")
            chosen = helper.make_node("If", [names[-1]], [stem], then_branch=branches[0], else_branch=branches[1])
            for node in graph.node:
                if node.name == constant.node:
                    node.input[constant.index] = stem
            graph.node.insert(0, chosen)
        return names

    def _run(self, session: Session, more: Mapping[str, Any] | None = None) -> None:
        for feeds in self._feeds:
            session.run({**feeds, **(more or {})})


def fastest(ways: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Seconds of the fastest pass of each way; taken in turns, so that a busy moment does not hit one of them only."""
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def _choice(name: str, stem: str) -> onnx.GraphProto:
    """A branch that hands out a value of the outer graph."""
    output = helper.make_tensor_value_info(f"{stem}/out", TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Identity", [name], [f"{stem}/out"])], stem, [], [output])


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--evaluation", required=True)
    parser.add_argument("--target", default="j6m")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    job = {
        "schema": "bitbudget.job/1",
        "model": str(Path(options.model).resolve()),
        "data": {
            "calibration": str(Path(options.calibration).resolve()),
            "evaluation": str(Path(options.evaluation).resolve()),
        },
        "target": {"name": options.target},
    }
    with tempfile.TemporaryDirectory() as folder:
        runner, calibration = prepared_bench(job, RunStore(Path(folder)))
        comparison = Comparison(runner, calibration)
        seconds = fastest(comparison.ways(), options.rounds)
    gemms = sum(group.is_gemm for group in runner.loaded.structure.network.groups)
    print(f"{datetime.date.today().isoformat()}, {processor()}, one thread, fastest of {options.rounds} passes")
    print(f"{gemms} gemms, {comparison.n_samples} samples, {options.target}; {FLOAT} {seconds[FLOAT]:.3f} s")
    for name, value in seconds.items():
        if name != FLOAT:
            print(f"{name:44} {value / seconds[FLOAT]:5.2f} x float")


if __name__ == "__main__":
    main()
