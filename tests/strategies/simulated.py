"""A chip and a network without a model: accuracy from the noise of every rounded point, for driving strategies.

The power of a configuration is the sum over its points of ``noise[point] * step(format)**2``; sample ``i`` is right if
its margin exceeds the square root of that. An overflow in fp16 makes every output non-finite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.encoding import encoded
from search.evaluation.configuration import Calibration, Configuration
from search.evaluation.refusal import Refusal
from search.graph.network import Network
from search.metrics.part import Part
from search.metrics.registry import make_metric
from search.precision import Format
from search.quant.fp16 import LARGEST_FP16
from search.sensitivity.points import Point, PointKind
from search.spec.job import WeightSettings
from search.strategies.ladder.strategy import ladder
from search.strategies.shared.goals import GoalState
from search.strategies.shared.session import TrialSession
from search.strategies.shared.setting import Setting
from search.targets.cost import CostModel
from search.targets.pins import Pin, resolve_pins
from search.targets.placement import Placement, place
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from search.tasks import Answers, AnyItem, ItemResult, Plan
from search.work.conditions import Evaluation, Quantization, Reading, Reference, SampleSet
from search.work.kinds.evaluate import Evaluate, Evaluated
from search.work.kinds.propose import Propose
from search.work.kinds.sensitivity import MeasurePoint, PointErrors

STEP = {Format.INT8: 1.0, Format.INT16: 1 / 256, Format.FP16: 1 / 1024, Format.FP32: 0.0}
CALIBRATION = Calibration(blob="ranges", method_8="kl_v2", method_16="min_max", samples=64)
EVALUATION = Evaluation(
    reference=Reference(
        samples=SampleSet(
            evaluation="evaluation",
            confirmation_share=0.0,
            reading=Reading(preprocess=None, inputs={}),
            split_seed=None,
        ),
        quantization=Quantization(
            scales="scales", inputs={}, overrides={}, weights=WeightSettings(), tensor_overrides=None
        ),
        float_outputs=None,
        transforms={},
    ),
    seed=0,
    order=None,
    uses=(),
    badcase=None,
)
Key = tuple[str, int]
Share = Mapping[str, float]


@dataclass
class Simulated:
    """What a bench would compute, by formula.

    Attributes:
        network: Groups and tensors.
        target: The chip.
        noise: ``("activation" | "weight", index)`` to its power at 8 bit; missing points have none.
        steps: The same key to steps that differ from ``STEP``, for points that 16 bit does not help.
        only: Output to the factor of a point's noise at it; a point missing there counts fully.
        absmax: Tensor to its largest absolute value; 1 where missing.
        goals: Output to allowed drop.
        n: Evaluation samples.
        jitter: Relative deterministic disturbance of the power, so that accuracy is not monotone.
        spread: Output to how far a point's error differs there from sample to sample: factor of a normal exponent.
        range_factor: What a fixed range does to the noise of a tensor.
        calibrations: Settings to choose among.
        loudness: What a calibration does to all noise.
        refuses: Why the chip cannot run a configuration.
    """

    network: Network
    target: Target
    noise: Mapping[Key, float]
    steps: Mapping[Key, Mapping[Format, float]] = field(default_factory=dict)
    only: Mapping[str, Mapping[Key, float]] = field(default_factory=dict)
    absmax: Mapping[int, float] = field(default_factory=dict)
    goals: Mapping[str, float] = field(default_factory=dict)
    pins: Sequence[Pin] = ()
    n: int = 2000
    jitter: float = 0.0
    spread: Mapping[str, float] = field(default_factory=dict)
    range_factor: float = 1.0
    calibration: Calibration = CALIBRATION
    calibrations: tuple[Calibration, ...] = ()
    loudness: Callable[[Calibration], float] = lambda _: 1.0
    refuses: Callable[[Configuration], Refusal | None] = lambda _: None
    asked: list[AnyItem] = field(default_factory=list)

    @property
    def evaluations(self) -> int:
        return sum(isinstance(item.work, Evaluate) and item.work.range[0] == 0 for item in self.asked)

    def setting(self) -> Setting:
        network, target = self.network, self.target
        top1 = make_metric("top1")
        right = Part(self.n, values=np.ones(self.n, np.bool_))
        return Setting(
            network=network,
            target=target,
            cost=CostModel(network, target),
            book=Rulebook(network, target),
            pins=resolve_pins(network, target, self.pins),
            output_precision={},
            goals=tuple(
                GoalState(
                    id=f"top1@{output}",
                    metric=top1,
                    output=output,
                    required=1.0 - drop,
                    float_value=1.0,
                    float_part=right,
                    ranking="cosine",
                )
                for output, drop in (self.goals or {network.outputs[0]: 0.01}).items()
            ),
            n_samples=self.n,
            batch=64,
            macs=1.0,
            calibration=self.calibration,
            calibrations=self.calibrations,
            extremes=tuple((-self.absmax.get(t, 1.0), 0.5) for t in range(len(network.tensors))),
            ranking_values={output: (output,) for output in network.outputs},
            context="context",
            evaluation=EVALUATION,
            further_samples=tuple(range(20, min(self.n, 84))),
        )

    def run(self, plan: Callable[[TrialSession], Plan[Any]] = ladder) -> TrialSession:
        """Drive a plan to its end."""
        session = TrialSession(self.setting())
        self.drive(plan(session))
        return session

    def drive(self, plan: Plan[Any]) -> Any:
        """Answer what a plan asks for; return its value."""
        try:
            items = next(plan)
            while True:
                self.asked.extend(items)
                items = plan.send(Answers({item.digest: self.answer(item) for item in items}))
        except StopIteration as end:
            return end.value

    def answer(self, item: AnyItem) -> ItemResult:
        """What running an item would give, as it is stored."""
        return ItemResult(item.digest, item.kind.name, encoded(self.value_of(item.work)))

    def value_of(self, work: object) -> object:
        """What work gives.

        Raises:
            ValueError: If it is of no kind that a strategy without early stopping by margin asks for.
        """
        match work:
            case Evaluate():
                return self._evaluated(work)
            case MeasurePoint():
                return self._measured(work)
            case Propose():
                return work.run().value
            case _:
                raise ValueError(f"A simulated chip has no answer to {work!r}.")

    def value(self, configuration: Configuration, output: str) -> float:
        """Top-1 on the full set."""
        return float(self._right(configuration, output, 0, self.n).mean())

    def _evaluated(self, work: Evaluate) -> Evaluated:
        configuration = work.configuration
        start, stop = work.range
        outputs = list(self.goals or [self.network.outputs[0]])
        parts = {}
        for output in outputs:
            values = self._right(configuration, output, start, stop)
            if not np.isfinite(self._power(configuration, output)):
                values = np.full(stop - start, np.nan, np.float32)
            parts[f"top1@{output}"] = Part(stop - start, values=values)
        worst = {
            value: {error: tuple((i, 1.0 - i / 100) for i in range(20)) for error in ("cosine", "l1", "atol")}
            for value in work.errors_of
        }
        return Evaluated(
            parts=parts,
            digest=configuration.digest,
            worst=worst,
            errors={value: self._sums(configuration, value, stop - start) for value in work.errors_of},
            infeasible=self.refuses(configuration),
        )

    def _sums(self, configuration: Configuration, output: str, n: int) -> dict[str, float]:
        power = self._power(configuration, output)
        error = power / (1 + power) if np.isfinite(power) else 1e30
        return dict.fromkeys(("cosine", "l1", "atol"), n * error)

    def _measured(self, point: MeasurePoint) -> PointErrors:
        placement = self._placement(point.base)
        errors = {}
        for output in point.outputs:
            alone = self._point_power(point.base, placement, point.point.kind.value, point.point.index, output)
            power = alone if point.mode == "only" else self._power(point.base, output, jitter=False) - alone
            saturated = power / (1 + power) if np.isfinite(power) else 1e30
            values = tuple(float(saturated) * self._luck(point.point, sample, output) for sample in point.samples)
            errors[output] = dict.fromkeys(("cosine", "l1", "atol"), values)
        return PointErrors(errors)

    def _luck(self, own: Point, sample: int, output: str) -> float:
        spread = self.spread.get(output, 0.0)
        draw = np.random.default_rng([own.index, len(own.kind.value), sample]).normal()
        return float(np.exp(spread * draw - spread**2 / 2))

    def _right(self, configuration: Configuration, output: str, start: int, stop: int) -> np.ndarray:
        margins = np.random.default_rng(7).permutation(np.linspace(0.0, 1.0, self.n, endpoint=False) + 0.5 / self.n)
        limit = np.sqrt(self._power(configuration, output))
        return np.asarray(margins[start:stop] > limit, np.bool_)

    def _power(self, configuration: Configuration, output: str, *, jitter: bool = True) -> float:
        placement = self._placement(configuration)
        keys = [("activation", t) for t in range(len(self.network.tensors))]
        keys += [("weight", c) for c in range(len(self.network.constants))]
        total = sum(self._point_power(configuration, placement, kind, index, output) for kind, index in keys)
        total *= self.loudness(configuration.calibration)
        if not self.jitter or not jitter:
            return total
        draw = int(hashlib.sha256(configuration.digest.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
        return total * (1 + self.jitter * (2 * draw - 1))

    def _placement(self, configuration: Configuration) -> Placement:
        return place(self.network, self.target, configuration.effective)

    def _point_power(
        self, configuration: Configuration, placement: Placement, kind: str, index: int, output: str
    ) -> float:
        key = (kind, index)
        treatment = configuration.treatment
        if kind == "weight":
            fmt = placement.constants[index]
        else:
            fmts = {placement.stored[index], *(placement.read[g][s] for g, s in self.network.readers[index])}
            fmt = min(fmts)
            if Format.FP16 in fmts:
                held = self.absmax.get(index, 1.0) * 2.0 ** -treatment.prescale.get(index, 0)
                if held > LARGEST_FP16:
                    return float("inf")
        step = {**STEP, **self.steps.get(key, {})}[fmt]
        factor = self.range_factor if kind == "activation" and index in treatment.ranges else 1.0
        share = self.only.get(output, {}).get(key, 1.0)
        return self.noise.get(key, 0.0) * step**2 * factor * share


def point(kind: str, index: int, fmt: Format = Format.INT8) -> Point:
    return Point(PointKind(kind), index, fmt)


def refusal(*nodes: str, message: str = "overflows") -> Refusal:
    """Why a chip cannot run these nodes."""
    return Refusal(node=nodes[0], what="", value=0, low=0, high=0, message=message, nodes=nodes)
