"""From results to the setting of a strategy: what float reaches, and every fact of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.data.order import sample_order
from search.errors import InvalidDataError
from search.evaluation.configuration import Calibration
from search.graph.network import Network
from search.metrics.goal_check import required_value
from search.metrics.margins import margin_order
from search.metrics.part import Part
from search.metrics.recorded import checked_value
from search.spec.goals import ALL_OUTPUTS
from search.spec.job import JobSpec, Transform
from search.spec.output_part import output_of
from search.strategies.auto.one_precision import STRATEGY, has_one_precision
from search.strategies.shared.goals import GoalState
from search.strategies.shared.setting import Setting
from search.study.calibrations import calibrations, sizes
from search.study.described import Described
from search.study.items import (
    methods_by_bits,
    metric_uses,
    output_precision,
    quantization,
    sample_set,
)
from search.study.results import FloatAnswers
from search.targets.cost import CostModel
from search.targets.rulebook import Rulebook
from search.tasks import Answer
from search.work.conditions import Evaluation, Reference
from search.work.goal_metric import goal_metric
from search.work.kinds.baseline import ORDER, Baseline
from search.work.kinds.calibrate import RANGES, Calibrated
from search.work.kinds.float import OUTPUTS
from search.work.problem import Problem

FURTHER = 64  # samples of the seeded order that tables may draw on
FLOAT_TOLERANCE = 1e-3  # of expected_float: another processor may flip one sample in a thousand


@dataclass(frozen=True, eq=False)
class Basis:
    """Results a setting is made of; that of the float model is None where there is no evaluation data."""

    problem: Problem
    described: Described
    calibrate: Answer[Calibrated]
    float_model: FloatAnswers | None = None

    @property
    def baseline(self) -> Answer[Baseline] | None:
        """What the float model is worth."""
        return None if self.float_model is None else self.float_model.measured


def prepare_setting(basis: Basis, methods: Mapping[int, str]) -> Setting:
    """Put the facts together.

    Args:
        basis: Results so far.
        methods: Width to calibration method.
    """
    return _setting(basis, goal_states(basis), methods)


def bounds_only(basis: Basis) -> Setting:
    """Setting of a run without evaluation data: nothing can be measured, all_low is exported."""
    return _setting(basis, (), {bits: methods_by_bits(basis.problem, bits)[0] for bits in (8, 16)})


def _setting(basis: Basis, goals: tuple[GoalState, ...], chosen: Mapping[int, str]) -> Setting:
    """Setting of a strategy with the method ``chosen`` at each width."""
    problem, described, calibrate, baseline = basis.problem, basis.described, basis.calibrate, basis.baseline
    spec = problem.spec
    precision = output_precision(problem)
    ranking = described.check.value.model.ranking
    order = margin_order_of(basis)
    return Setting(
        network=described.network,
        target=problem.target,
        cost=CostModel(described.network, problem.target, output_precision=precision),
        book=Rulebook(described.network, problem.target, precision),
        pins=described.pins,
        output_precision=precision,
        goals=goals,
        n_samples=described.n_samples,
        batch=described.batch,
        macs=float(described.network.total_macs),
        calibration=Calibration(
            blob=calibrate.blobs[RANGES],
            method_8=chosen[8],
            method_16=chosen[16],
            samples=calibrate.value.samples,
        ),
        extremes=tuple(None if low is None or high is None else (low, high) for low, high in calibrate.value.extremes),
        ranking_values=_ranking_values(spec, described.network, ranking, goals),
        context=problem.context,
        evaluation=Evaluation(
            reference=_reference(basis, goals),
            seed=spec.search.seed,
            order=None if order is None or baseline is None else baseline.blobs[ORDER],
            uses=metric_uses(problem, described.goals),
            badcase=None if spec.badcase.samples == "all" else spec.badcase.samples,
        ),
        calibrations=calibrations(problem, calibrate),
        sizes=sizes(problem, calibrate),
        staged=problem.spec.search.strategy == STRATEGY and not has_one_precision(problem.target),
        ordered=order is not None,
        further_samples=tuple(sample_order(described.n_samples, seed=spec.search.seed)[:FURTHER].tolist()),
        evaluator=problem.evaluator,
        task_macs=spec.search.task_macs,
    )


def _ranking_values(
    spec: JobSpec, network: Network, ranking: Mapping[str, Sequence[str]], goals: Sequence[GoalState]
) -> dict[str, tuple[str, ...]]:
    """Output, or part of one that a goal judges, to the values whose errors rank points there.

    Under ``ALL_OUTPUTS`` those of every output.
    """
    found = {}
    parts = [goal.output for goal in goals if goal.output != ALL_OUTPUTS]
    for text in dict.fromkeys([*network.outputs, *parts]):
        name = output_of(text)
        is_cut_off = name in spec.outputs and spec.outputs[name].cut == "off"
        before = tuple(ranking[name])
        found[text] = (text,) if is_cut_off or before == (name,) else before
    every = dict.fromkeys(value for name in network.outputs for value in found[name])
    return {**found, ALL_OUTPUTS: tuple(every)}


def _transforms(spec: JobSpec, goals: Sequence[GoalState]) -> dict[str, Transform]:
    """What runs outside the ONNX, per output and per part of one that a goal judges."""
    stated = {name: one.transform for name, one in spec.outputs.items() if one.transform is not None}
    parts = {goal.output: stated[output_of(goal.output)] for goal in goals if output_of(goal.output) in stated}
    return {**stated, **parts}


def _reference(basis: Basis, goals: Sequence[GoalState]) -> Reference:
    """Which samples, how they are quantized, and the float outputs."""
    problem = basis.problem
    return Reference(
        samples=sample_set(problem),
        quantization=quantization(problem, basis.described.network),
        float_outputs=None if basis.float_model is None else basis.float_model.run.blobs.get(OUTPUTS),
        transforms=_transforms(problem.spec, goals),
    )


def goal_states(basis: Basis) -> tuple[GoalState, ...]:
    """Goals with their requirement from the float model.

    Raises:
        InvalidDataError: If ``expected_float`` does not agree, or the float model has no value.
    """
    problem, baseline = basis.problem, basis.baseline
    order = margin_order_of(basis)
    states = []
    for goal in basis.described.goals:
        metric = goal_metric(problem, goal)
        part = None
        if baseline is not None and not metric.is_fidelity:
            part = baseline.value.parts[goal.id]
        value = None if part is None else metric.value([part])
        if part is not None:
            checked_value(metric, [part])
        margins = _margins(baseline, goal.id)
        if order is not None and part is not None and part.values is not None and margins is not None:
            part, margins = Part(part.n, values=part.values[order]), margins[order]
        _check_expected(problem, goal.id, value)
        states.append(
            GoalState(
                id=goal.id,
                metric=metric,
                output=goal.output or ALL_OUTPUTS,
                required=required_value(goal.limit, goal.limit_value, value, metric.direction),
                float_value=value,
                float_part=part,
                ranking=goal.ranking or "cosine",
                margins=margins,
                confidence=problem.spec.search.confidence,
            )
        )
    return tuple(states)


def _margins(baseline: Answer[Baseline] | None, goal: str) -> npt.NDArray[np.float32] | None:
    found = None if baseline is None else baseline.value.margins.get(goal)
    return None if found is None else found.values


def margin_order_of(basis: Basis) -> npt.NDArray[np.int64] | None:
    """Samples by margin, for ``auto`` where every goal has margins; None otherwise: the order of the study."""
    baseline = basis.baseline
    if baseline is None or ORDER not in baseline.blobs or basis.problem.spec.search.strategy != STRATEGY:
        return None
    if has_one_precision(basis.problem.target):
        return None
    found = {goal.id: _margins(baseline, goal.id) for goal in basis.described.goals}
    known = {name: one for name, one in found.items() if one is not None}
    return margin_order(known) if len(known) == len(found) else None


def _check_expected(problem: Problem, goal: str, value: float | None) -> None:
    expected = problem.spec.expected_float.get(goal)
    if expected is not None and (value is None or abs(value - expected) > FLOAT_TOLERANCE):
        raise InvalidDataError(
            f"The float model reaches {value} on {goal}, but expected_float says {expected}. Check preprocessing, "
            "labels and the model file, or correct expected_float."
        )
