"""What the integer arithmetic of the chip said: what it cannot run, what it gave way to, where it differs from Q/DQ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, log2

from search.evaluation.refusal import ACCUMULATOR, Refusal
from search.graph.network import Group, Network
from search.records.finding import Finding
from search.simulator.program import Warned

LARGEST_FP16 = 65504.0
APART = 0.003  # of a rate: more than sampling the same images should show
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


def evaluator_findings(pairs: Mapping[str, tuple[float | None, float | None]]) -> Iterator[Finding]:
    """Goals where integers and the Q/DQ model are further apart than 0.3 points.

    Args:
        pairs: Id of a rate to its value in integers and as a Q/DQ model.
    """
    for name, (integer, qdq) in pairs.items():
        if integer is not None and qdq is not None and abs(integer - qdq) > APART:
            yield Finding(
                code="evaluators-differ",
                severity="warning",
                message=f"{name} is {integer:.4f} in integer arithmetic and {qdq:.4f} as a Q/DQ model.",
                advice="Trust the smaller one; a goal counts as met only if both meet it.",
                evidence={"integer": integer, "qdq": qdq},
            )


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
