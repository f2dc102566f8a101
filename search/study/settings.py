"""From results to the setting of a strategy: what the model is, what float reaches, which calibration wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.canonical import digest_json
from search.errors import InvalidDataError
from search.evaluation.configuration import Calibration, Configuration, Treatment
from search.export.overrides_input import overrides_of
from search.graph.network import Network
from search.metrics.goal_check import required_value
from search.metrics.part import Part
from search.runtime.feeding import BATCH
from search.spec.goals import LIMITS, Goal
from search.spec.job import Pin
from search.spec.resolve import OutputInfo, resolve_goals
from search.strategies.goals import GoalState
from search.strategies.setting import Setting
from search.study.goal_metric import goal_metric
from search.study.override_pins import translate
from search.study.problem import Problem
from search.targets.cost import CostModel
from search.targets.legalise import legalise, uniform
from search.targets.pins import PinTable, resolve_pins
from search.targets.rulebook import Rulebook
from search.tasks import Item, ItemResult

COMPARE_SAMPLES = 256
FLOAT_TOLERANCE = 1e-3  # of expected_float: another processor may flip one sample in a thousand


@dataclass(frozen=True, eq=False)
class Described:
    """What ``check`` said, ready for planning.

    Attributes:
        network: Groups and tensors.
        goals: Resolved goals.
        pins: Resolved pins.
        check: The result itself.
    """

    network: Network
    goals: tuple[Goal, ...]
    pins: PinTable
    check: ItemResult

    @property
    def n_samples(self) -> int:
        """Size of the evaluation set."""
        return int(self.check.data["n_samples"])

    @property
    def batch(self) -> int:
        """Samples per look: whole runs of a dynamic model."""
        size, fixed = self.check.data["feeding"]
        return BATCH if fixed else int(size)


def check_item(problem: Problem) -> Item:
    """The first item of every study."""
    params = {
        "evaluation": problem.evaluation,
        "calibration": problem.calibration,
        "confirmation_share": problem.spec.data.confirmation_share,
        "seed": problem.spec.search.seed,
        "preprocess": _preprocess(problem),
    }
    if problem.overrides is not None:
        params["override_tensors"] = sorted(overrides_of(problem.overrides))
    return Item("check", problem.context, params)


def describe(problem: Problem, check: ItemResult) -> Described:
    """Resolve goals and pins against the model.

    Raises:
        UsageError: If a goal, an output setting or a pin does not fit the model.
    """
    network = Network.from_json(dict(check.data["network"]))
    outputs = [OutputInfo(name, tuple(shape)) for name, shape in check.data["outputs"]]
    goals: tuple[Goal, ...] = ()
    if problem.evaluation is not None:
        goals = resolve_goals(problem.spec.goal, outputs, check.data["labels"])
    pins = resolve_pins(network, problem.target, (*problem.spec.pins, *_stated_pins(problem, network, check)))
    return Described(network, goals, pins, check)


def _stated_pins(problem: Problem, network: Network, check: ItemResult) -> tuple[Pin, ...]:
    """Pins that follow from the file of tensor overrides."""
    if problem.overrides is None:
        return ()
    return translate(problem.overrides, network, problem.target, check.data["override_places"]).pins


def calibrate_item(problem: Problem, described: Described) -> Item:
    """Histograms and the ranges of every method that may be used."""
    available = int(described.check.data["n_calibration"])
    wanted = problem.spec.calibration.samples
    params = {
        "calibration": problem.calibration,
        "preprocess": _preprocess(problem),
        "samples": available if wanted == "all" else min(int(wanted), available),
        "methods": [list(pair) for pair in _methods(problem)],
        "rule": problem.target.activation_rule,
        "seed": problem.spec.search.seed if problem.is_random else 0,
    }
    return Item("calibrate", problem.context, params)


def baseline_item(problem: Problem, described: Described) -> Item:
    """The float model on all evaluation samples."""
    params = {
        **_evaluation_data(problem),
        "uses": _uses(problem, described.goals),
        "outputs": list(described.network.outputs),
    }
    return Item("baseline", problem.context, params)


def method_items(
    problem: Problem, described: Described, calibrate: ItemResult, baseline: ItemResult
) -> dict[tuple[int, str], Item]:
    """``(bits, method)`` to the item that measures it: 8-bit methods at all_low, 16-bit methods at all_high.

    A width with one method has nothing to compare.
    """
    found: dict[tuple[int, str], Item] = {}
    ranges = calibrate.blobs["ranges"]
    first = {bits: _by_bits(problem, bits)[0] for bits in (8, 16)}
    for bits, level in ((8, "low"), (16, "high")):
        methods = _by_bits(problem, bits)
        for method in methods if len(methods) > 1 else ():
            chosen = {**first, bits: method}
            calibration = Calibration(
                blob=ranges, method_8=chosen[8], method_16=chosen[16], samples=int(calibrate.data["samples"])
            )
            request = uniform(described.network, problem.target, "low" if level == "low" else "high")
            effective = legalise(described.network, problem.target, request, pins=described.pins).effective
            params = {
                **_evaluation_data(problem),
                **_quantization(problem),
                "configuration": Configuration(effective, calibration, Treatment()).to_json(),
                "samples": min(COMPARE_SAMPLES, described.n_samples),
                "outputs": list(dict.fromkeys(goal.output for goal in described.goals)),
                "float": baseline.blobs.get("outputs"),
            }
            found[(bits, method)] = Item("compare", problem.context, params, work=float(described.network.total_macs))
    return found


def choose_method(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> str:
    """The method with the smallest error relative to the best of each output; ties go to the one named first."""
    scores = {row["method"]: row["score"] for row in rows if row["score"] is not None}
    usable = [method for method in methods if method in scores]
    if not usable:
        raise InvalidDataError(
            f"Every calibration method failed ({', '.join(methods)}); see calibration.overrides to fix ranges by hand."
        )
    return min(usable, key=lambda method: scores[method])


def prepare_setting(
    problem: Problem,
    described: Described,
    calibrate: ItemResult,
    baseline: ItemResult,
    methods: Mapping[tuple[int, str], Item],
    found: Mapping[str, ItemResult],
) -> tuple[Setting, tuple[Mapping[str, object], ...]]:
    """Put the facts together and say how the methods compared."""
    goals = goal_states(problem, described, baseline)
    rows = [row for bits in (8, 16) for row in _comparison(bits, methods, found, described.goals)]
    chosen = {}
    for bits in (8, 16):
        names = _by_bits(problem, bits)
        own = [row for row in rows if row["bits"] == bits]
        chosen[bits] = choose_method(own, names) if own else names[0]
    calibration = Calibration(
        blob=calibrate.blobs["ranges"],
        method_8=chosen[8],
        method_16=chosen[16],
        samples=int(calibrate.data["samples"]),
    )
    return make_setting(problem, described, calibrate, goals, calibration, baseline), tuple(rows)


def make_setting(
    problem: Problem,
    described: Described,
    calibrate: ItemResult,
    goals: tuple[GoalState, ...],
    calibration: Calibration,
    baseline: ItemResult | None,
) -> Setting:
    """Setting of a strategy."""
    spec = problem.spec
    precision = {name: settings.precision for name, settings in spec.outputs.items()}
    ranking = described.check.data["ranking"]
    shared = {
        **_evaluation_data(problem),
        **_quantization(problem),
        "float": None if baseline is None else baseline.blobs.get("outputs"),
        "transforms": {name: s.transform for name, s in spec.outputs.items() if s.transform is not None},
    }
    values = {
        name: (name,) if name in spec.outputs and spec.outputs[name].cut == "off" else tuple(ranking[name])
        for name in described.network.outputs
    }
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
        calibration=calibration,
        extremes=tuple(None if low is None else (low, high) for low, high in calibrate.data["extremes"]),
        ranking_values=values,
        context=problem.context,
        evaluation={**shared, "uses": _uses(problem, described.goals)},
        sensitivity=shared,
    )


def bounds_only(problem: Problem, described: Described, calibrate: ItemResult) -> Setting:
    """Setting of a run without evaluation data: nothing can be measured, all_low is exported."""
    calibration = Calibration(
        blob=calibrate.blobs["ranges"],
        method_8=_by_bits(problem, 8)[0],
        method_16=_by_bits(problem, 16)[0],
        samples=int(calibrate.data["samples"]),
    )
    return make_setting(problem, described, calibrate, (), calibration, None)


def goal_states(problem: Problem, described: Described, baseline: ItemResult) -> tuple[GoalState, ...]:
    """Goals with their requirement from the float model.

    Raises:
        InvalidDataError: If ``expected_float`` does not agree, or the float model has no value.
    """
    states = []
    for goal in described.goals:
        metric = goal_metric(goal)
        part = None if metric.is_fidelity else Part.from_json(baseline.data["parts"][goal.id])
        value = None if part is None else metric.value([part])
        _check_expected(problem, goal.id, value)
        limit = next(name for name in LIMITS if getattr(goal, name) is not None)
        states.append(
            GoalState(
                id=goal.id,
                metric=metric,
                output=goal.output or "",
                required=required_value(limit, getattr(goal, limit), value, metric.direction),
                float_value=value,
                float_part=part,
                ranking=goal.ranking or "cosine",
                confidence=problem.spec.search.confidence,
            )
        )
    return tuple(states)


def _check_expected(problem: Problem, goal: str, value: float | None) -> None:
    expected = problem.spec.expected_float.get(goal)
    if expected is not None and (value is None or abs(value - expected) > FLOAT_TOLERANCE):
        raise InvalidDataError(
            f"The float model reaches {value} on {goal}, but expected_float says {expected}. Check preprocessing, "
            "labels and the model file, or correct expected_float."
        )


def _comparison(
    bits: int, methods: Mapping[tuple[int, str], Item], found: Mapping[str, ItemResult], goals: Sequence[Goal]
) -> list[dict[str, Any]]:
    """One row per method: mean error per output relative to the best method, averaged; None if it failed."""
    ranking = {goal.output or "": goal.ranking or "cosine" for goal in goals}
    errors: dict[str, dict[str, float] | None] = {}
    for (width, method), item in methods.items():
        if width == bits:
            data = found[item.digest].data
            errors[method] = (
                None if data["failed"] else {out: data["errors"][out][metric] for out, metric in ranking.items()}
            )
    best = {out: min((e[out] for e in errors.values() if e is not None), default=0.0) for out in ranking}
    rows = []
    for method, by_output in errors.items():
        score = None
        if by_output is not None:
            score = sum(by_output[out] / best[out] if best[out] else 1.0 for out in ranking) / len(ranking)
        rows.append({"bits": bits, "method": method, "errors": by_output, "score": score, "failed": by_output is None})
    return rows


def _methods(problem: Problem) -> tuple[tuple[str, int], ...]:
    """Every ``(method, bits)`` that may be used."""
    extra = {override.method for override in problem.spec.calibration.overrides.values() if override.method}
    pairs = [(method, bits) for bits in (8, 16) for method in (*_by_bits(problem, bits), *sorted(extra))]
    return tuple(dict.fromkeys(pairs))


def _by_bits(problem: Problem, bits: int) -> tuple[str, ...]:
    return tuple(problem.spec.calibration.methods) if bits == 8 else problem.target.calibration.methods_16


def _evaluation_data(problem: Problem) -> dict[str, Any]:
    return {
        "evaluation": problem.evaluation,
        "confirmation_share": problem.spec.data.confirmation_share,
        "preprocess": _preprocess(problem),
        "seed": problem.spec.search.seed,
    }


def _quantization(problem: Problem) -> dict[str, Any]:
    """Everything that shapes a Q/DQ model besides its configuration."""
    spec = problem.spec
    return {
        "target": problem.target.digest,
        "inputs": {name: settings.model_dump(mode="json") for name, settings in spec.inputs.items()},
        "outputs_precision": {name: settings.precision for name, settings in spec.outputs.items()},
        "overrides": {name: one.model_dump(mode="json") for name, one in spec.calibration.overrides.items()},
        "weights": spec.calibration.weights.model_dump(mode="json"),
        **({} if problem.overrides is None else {"tensor_overrides": digest_json(problem.overrides)}),
    }


def _preprocess(problem: Problem) -> Any:
    preprocess = problem.spec.data.preprocess
    return None if preprocess is None else preprocess.model_dump(mode="json")


def _uses(problem: Problem, goals: Sequence[Goal]) -> list[dict[str, Any]]:
    return [
        {
            "id": goal.id,
            "metric": goal.metric,
            "output": goal.output,
            "labels": goal.labels,
            "percentile": goal.percentile if goal.metric == "atol" else None,
            **({"graph": problem.metrics[goal.metric], "direction": goal.direction} if goal.is_custom else {}),
        }
        for goal in goals
    ]
