"""What the integer arithmetic of the chip said: what it cannot run, what it gave way to, where it differs from Q/DQ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log2

from search.evaluation.refusal import ACCUMULATOR, Refusal
from search.graph.network import Group, Network
from search.metrics.goal_check import meets
from search.metrics.reductions import Direction
from search.records.finding import Finding
from search.simulator.program import Warned
from search.spec.metric_names import METRICS

LARGEST_FP16 = 65504.0
APART = 0.003  # of a rate, of a cosine: more than sampling the same images should show
APART_DB = 3.0  # half or twice the noise
CLEAN_DB = 60.0  # above it both are as good as float, however far apart
APART_SHARE = 0.25  # of an error
_ADVICE = {
    "shift-clamped": "The scales around the operator differ too much: calibrate its tensors with another range.",
    "multiplier-short": "These channels contribute next to nothing; prune them, or check their weights.",
    "bias-coarser": "Typical of dead channels (tiny weights, large bias): harmless, or prune them.",
    "sum-coarser": "The input of the gemm has a far wider range than its result: give the group 16 bit inputs.",
}


def infeasible_findings(trials: Iterable[tuple[int, Refusal]]) -> Iterator[Finding]:
    """One finding per node that kept a trial from running on the chip.

    Args:
        trials: Trial number and why it cannot run.
    """
    seen: dict[tuple[str, str], list[int]] = {}
    texts: dict[tuple[str, str], Refusal] = {}
    for number, why in trials:
        key = (why.node, why.what)
        seen.setdefault(key, []).append(number)
        texts.setdefault(key, why)
    for key, why in texts.items():
        is_sum = why.what == ACCUMULATOR
        yield Finding(
            code="accumulator-overflow" if is_sum else "shift-out-of-range",
            severity="warning",
            message=f"{why.message} Trials {', '.join(map(str, seen[key]))} were infeasible.",
            advice="The search gave the group another precision wherever one was left."
            if is_sum
            else "Calibrate with other data or another method, or train with quantization and start again.",
            evidence={
                "node": why.node,
                "what": why.what,
                "value": why.value,
                "range": [why.low, why.high],
                "trials": seen[key],
            },
        )


def warning_findings(warnings: Iterable[Warned]) -> Iterator[Finding]:
    """One finding per kind of compromise in the delivered configuration."""
    by_code: dict[str, list[Warned]] = {}
    for warning in warnings:
        by_code.setdefault(warning.code, []).append(warning)
    for code, found in by_code.items():
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        yield Finding(
            code=code,
            severity="warning" if code == "shift-clamped" else "note",
            message="; ".join(one.text for one in found[:3]) + more + ".",
            advice=_ADVICE.get(code, ""),
            evidence={"nodes": [one.node for one in found]},
        )


def interior_findings(names: Sequence[str]) -> Iterator[Finding]:
    """Quantized groups that the simulator computes in float between integer ends."""
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        yield Finding(
            code="float-interior",
            severity="note",
            message=f"{len(names)} quantized groups have no integer form here and were computed in float between "
            f"integer ends: {', '.join(names[:5])}{more}.",
            advice="Expect the chip to differ a little more there than the simulator says.",
            evidence={"groups": list(names)},
        )


@dataclass(frozen=True, kw_only=True)
class BothWays:
    """A goal of one configuration, measured by both evaluators.

    Attributes:
        id: ``name@output``.
        metric: Its metric.
        required: Value to reach.
        direction: Which values are better.
        integer: Value in integer arithmetic; None where it has none.
        qdq: Value as a Q/DQ model.
    """

    id: str
    metric: str
    required: float
    direction: Direction
    integer: float | None
    qdq: float | None

    @property
    def decides(self) -> bool:
        """Whether one of them reaches the requirement and the other one does not."""
        return meets(self.integer, self.required, self.direction) != meets(self.qdq, self.required, self.direction)

    @property
    def is_apart(self) -> bool:
        """Whether they are further apart than the metric should show: in dB, in points, or by a share of the larger."""
        if self.integer is None or self.qdq is None:
            return self.integer is not self.qdq
        gap = abs(self.integer - self.qdq)
        if self.metric == "sqnr_db":
            return gap > APART_DB and min(self.integer, self.qdq) < CLEAN_DB
        if self.metric == "cosine" or (self.metric in METRICS and METRICS[self.metric].share):
            return gap > APART
        return gap > APART_SHARE * max(abs(self.integer), abs(self.qdq))


def evaluator_findings(pairs: Iterable[BothWays]) -> Iterator[Finding]:
    """Goals of any metric where integers and the Q/DQ model are apart, or decide differently; in both directions.

    Args:
        pairs: Goals with both values.
    """
    for one in pairs:
        if not (one.is_apart or one.decides):
            continue
        decided = " Only one of them reaches the goal." if one.decides else ""
        yield Finding(
            code="evaluators-differ",
            severity="warning",
            message=f"{one.id} is {_value(one.integer)} in integer arithmetic and {_value(one.qdq)} as a Q/DQ model."
            + decided,
            advice="Trust the worse one; a goal counts as met only if both meet it. The two part most where a number "
            "is divided by a small one, and in sums whose inputs are far wider than the result: see layers.csv.",
            evidence={"integer": one.integer, "qdq": one.qdq, "required": one.required, "decides": one.decides},
        )


def exported_findings(pairs: Iterable[BothWays]) -> Iterator[Finding]:
    """Goals that integers reach and the Q/DQ model misses: the reason of a verdict that the value alone denies.

    Args:
        pairs: Goals of a trial that misses, those that integers reach.
    """
    for one in pairs:
        if not meets(one.qdq, one.required, one.direction):
            yield Finding(
                code="goal-missed",
                severity="error",
                message=f"{one.id}: integer arithmetic reaches {_value(one.integer)}, the exported Q/DQ model "
                f"{_value(one.qdq)}, and the goal asks for {one.required:.6g} of both.",
                advice="They differ where a tensor has too few steps for what is computed from it: raise the first row "
                "of layers.csv whose rounding_db is low.",
                evidence={"best": one.integer, "qdq": one.qdq, "required": one.required},
            )


def _value(value: float | None) -> str:
    return "without a value" if value is None else f"{value:.4f}"


def square_findings(network: Network, extremes: Sequence[tuple[float, float] | None]) -> Iterator[Finding]:
    """Squares (x * x, Pow) that leave binary16 although their input does not."""
    for t, tensor in enumerate(network.tensors):
        ends = extremes[t]
        absmax = 0.0 if ends is None else max(-ends[0], ends[1])
        if tensor.writer is None or absmax <= LARGEST_FP16 or not _is_square(network.groups[tensor.writer]):
            continue
        exponent = ceil((log2(absmax / LARGEST_FP16) + 1) / 2)
        yield Finding(
            code="prescale-square",
            severity="warning",
            message=f"{tensor.op_name} squares its input up to {absmax:.4g}, beyond binary16 (65504).",
            advice=f"Where it runs in fp16, multiply the input of the chain by 2**-{exponent} and what follows the "
            f"mean by 2**{exponent}, as inside LayerNormalization; or keep it in int16 or fp32.",
            evidence={"op_name": tensor.op_name, "absmax": absmax, "exponent": exponent},
        )


def _is_square(group: Group) -> bool:
    if group.op_type == "Pow":
        return True
    return group.op_type == "Mul" and len(group.inputs) == 2 and group.inputs[0].tensor == group.inputs[1].tensor
