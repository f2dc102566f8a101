"""Inputs that share one scale although their ranges are too different for it: the smaller one loses its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.graph.network import Group, Network
from search.precision import Format
from search.records.finding import Finding
from search.targets.placement import Placement

Ends = tuple[float, float]
JOINED = frozenset({"Concat", "Where", "ScatterND", "ScatterElements"})
"""Every value of every input is a value of the result."""
SUMMED = frozenset({"Add", "Sub", "Sum", "Mean", "Max", "Min"})
"""What is small beside the other input changes the result little, rightly so if float does the same."""
FEW_LEVELS = 16.0  # of a range in the step of the result: a sixteenth of what 8 bit have


@dataclass(frozen=True)
class _Lost:
    """An input of a group that the format of its result hardly resolves."""

    name: str
    absmax: float
    levels: float

    @property
    def vanishes(self) -> bool:
        """Whether all of it rounds to zero."""
        return self.levels < 1


def shared_scale_findings(network: Network, extremes: Sequence[Ends | None], placement: Placement) -> Iterator[Finding]:
    """One finding per Concat or Add (and their kin) that keeps fewer than 16 steps of an input.

    Args:
        network: Groups and tensors.
        extremes: Smallest and largest calibrated value per tensor.
        placement: Formats as delivered.
    """
    for group in network.groups:
        if group.op_type not in JOINED | SUMMED or not group.outputs:
            continue
        result = group.outputs[0]
        fmt, largest = placement.stored[result], _absmax(extremes[result])
        lost = _lost(network, group, extremes, step=largest / _highest(fmt)) if fmt.is_integer and largest else []
        if any(one.vanishes for one in lost) or (lost and group.op_type in JOINED):
            yield _finding(group, fmt, largest, lost)


def _lost(network: Network, group: Group, extremes: Sequence[Ends | None], *, step: float) -> list[_Lost]:
    found = {}
    for slot in group.inputs:
        absmax = _absmax(extremes[slot.tensor])
        levels = 2 * absmax / step
        if absmax and levels < FEW_LEVELS:
            found[slot.tensor] = _Lost(network.tensors[slot.tensor].op_name, absmax, levels)
    return list(found.values())


def _finding(group: Group, fmt: Format, largest: float, lost: Sequence[_Lost]) -> Finding:
    vanishes = any(one.vanishes for one in lost)
    told = "; ".join(f"{one.name!r} (to {one.absmax:.4g}) keeps {_levels(one)}" for one in lost)
    is_joined = group.op_type in JOINED
    return Finding(
        code="shared-scale",
        severity="error" if vanishes and is_joined else "warning",
        message=f"{group.op_type} {group.name!r} writes {fmt.value} with one scale for values to {largest:.4g}: "
        f"{told}.",
        advice="Raise it (a pin to 16 bit or float), split the model output so that every part has its own scale, or "
        "bring the inputs to one range in the model and scale back behind it."
        if is_joined
        else "Raise it (a pin to 16 bit or float) if the smaller input matters; where float adds the same two numbers "
        "it may not.",
        evidence={
            "node": group.name,
            "format": fmt.value,
            "largest": largest,
            "inputs": [[one.name, one.absmax, one.levels] for one in lost],
        },
    )


def _levels(one: _Lost) -> str:
    return "nothing: all of it rounds to zero" if one.vanishes else f"{one.levels:.1f} steps of its range"


def _highest(fmt: Format) -> int:
    return int(2 ** (fmt.bits - 1) - 1)


def _absmax(ends: Ends | None) -> float:
    return 0.0 if ends is None else max(abs(ends[0]), abs(ends[1]))
