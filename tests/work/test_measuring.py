"""Oracle: models written out for one point each, run by hand, errors summed in a plain loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.evaluation.configuration import Configuration, Treatment
from search.evaluation.qdq import QdqOptions, build_qdq
from search.metrics.output_error import ERROR_NAMES, output_errors
from search.precision import Format
from search.runtime.session import Level, Session
from search.sensitivity.points import PointKind, points_of
from search.study.items import check_item
from search.study.plan import Replay
from search.targets.legalise import legalise, uniform
from search.targets.pins import resolve_pins
from search.tasks import Task
from search.work.item_runner import ItemRunner
from search.work.kinds.check import Check
from search.work.kinds.registry import run_items
from search.work.kinds.sensitivity import MeasurePoint, run_points
from search.work.transforms import TRANSFORMS
from tests.evaluation.loading import uniform_placement
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import conv_net, write

SAMPLES = (17, 3, 20, 9, 1)


@pytest.fixture(scope="module", params=["N", "1", "4"])
def prepared(request, tmp_path_factory):
    """A runner and its all-int8 configuration, as far as calibration."""
    files = write(tmp_path_factory.mktemp("points"), conv_net(batch=request.param), n=24)
    goal = [{"metric": "top1", "max_drop": 0.01}]
    run = MemoryRun(local_problem(files, goal=goal, calibration={"methods": ["min_max"]}))
    runner, replay = ItemRunner(run.problem, run), Replay(run.problem)
    while replay.progress.session is None:
        for item, raw in run_items(runner, replay.advance(run.results)[0]):
            run.keep(item, raw)
    network, target = runner.loaded.structure.network, run.problem.target
    effective = legalise(
        network, target, uniform(network, target, "low"), pins=resolve_pins(network, target, [])
    ).effective
    setting = replay.progress.session.setting
    return runner, Configuration(effective, setting.calibration, Treatment()), setting


def measured(prepared, mode, transforms=None):
    runner, base, setting = prepared
    placement = runner.placement(base)
    points = points_of(runner.loaded.structure.network, placement, (Format.INT8,))
    works = [
        MeasurePoint(
            reference=replace(setting.evaluation.reference, transforms=transforms or {}),
            numerics=setting.numerics(base, "fake_quant"),
            base=base,
            point=point,
            mode=mode,
            samples=SAMPLES,
            outputs=("logits",),
        )
        for point in points
    ]
    found = (raw.value.errors["logits"] for raw in run_points(runner, works))
    means = ({name: float(np.mean(values)) for name, values in errors.items()} for errors in found)
    return dict(zip(points, means, strict=True))


def expected(prepared, placement, transform=np.asarray):
    """Mean errors of one placement, sample by sample."""
    runner, base, _ = prepared
    model = build_qdq(runner.loaded.template, placement, runner.grids(base), QdqOptions()).model
    sessions = [Session(one, level=Level.PINNED) for one in (model, runner.loaded.template.model)]
    batch = runner.loaded.feeding.batch if runner.loaded.feeding.fixed else 1
    sums = dict.fromkeys(ERROR_NAMES, 0.0)
    for sample in SAMPLES:
        feeds = runner.evaluation.batch(np.array([sample] * batch))
        got, exact = (transform(session.run(feeds)["logits"][:1]) for session in sessions)
        for name, value in output_errors(got, exact).items():
            sums[name] += float(value[0])
    return {name: total / len(SAMPLES) for name, total in sums.items()}


def one_point(prepared, point, *, alone):
    """The base with only this point, or with all but it."""
    runner, base, _ = prepared
    network = runner.loaded.structure.network
    full = runner.placement(base)
    bare = uniform_placement(network, Format.FP32)
    other, own = (bare, full) if alone else (full, bare)
    if point.kind is PointKind.WEIGHT:
        picked = tuple(own.constants[c] if c == point.index else f for c, f in enumerate(other.constants))
        return replace(other, constants=picked)
    stored = tuple(own.stored[t] if t == point.index else f for t, f in enumerate(other.stored))
    read = tuple(
        tuple((own if slot.tensor == point.index else other).read[g][s] for s, slot in enumerate(group.inputs))
        for g, group in enumerate(network.groups)
    )
    return replace(other, stored=stored, read=read)


@pytest.mark.parametrize("mode", ["only", "all_but"])
def test_every_point_has_the_mean_error_over_the_samples(prepared, mode):
    for point, errors in measured(prepared, mode).items():
        wanted = expected(prepared, one_point(prepared, point, alone=mode == "only"))
        for name in ERROR_NAMES:
            assert errors[name] == pytest.approx(wanted[name], rel=0.02, abs=1e-5), (point, name)


def test_sparing_the_loud_tensor_helps_most(prepared):
    runner, base, _ = prepared
    total = expected(prepared, runner.placement(base))["l1"]
    spared = {point: errors["l1"] for point, errors in measured(prepared, "all_but").items()}
    best = min(spared, key=lambda point: spared[point])
    network = runner.loaded.structure.network
    assert best.kind is PointKind.ACTIVATION
    assert network.tensors[best.index].op_name == "conv1"
    assert spared[best] < total / 2


def test_errors_are_taken_behind_the_transform_of_the_output(prepared):
    found = measured(prepared, "only", {"logits": "softmax"})
    point = next(iter(found))
    wanted = expected(prepared, one_point(prepared, point, alone=True), TRANSFORMS["softmax"])
    assert found[point]["l1"] == pytest.approx(wanted["l1"], rel=0.02, abs=1e-6)
    assert found[point]["l1"] != pytest.approx(measured(prepared, "only")[point]["l1"], rel=0.1)


def test_float_values_are_kept_for_the_next_points_and_gone_when_something_else_runs(prepared, monkeypatch):
    runner, _, _ = prepared
    measured(prepared, "only")
    kept = runner.float_values(("logits",))
    measured(prepared, "only")
    assert runner.float_values(("logits",)) is kept
    held = []
    monkeypatch.setattr(Check, "run", lambda _, runner: held.append(runner._float_values))
    assert len(list(run_items(runner, Task((check_item(runner.problem),))))) == 1
    assert held == [None]
    assert runner.float_values(("logits",)) is not kept
