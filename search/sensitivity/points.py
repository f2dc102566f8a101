"""Points: the tensors and constants a base rounds, each of which gets its sensitivity rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from search.calibration.grids import integer_grid
from search.graph.network import Network
from search.precision import Format
from search.targets.placement import Placement

_FP16_INTEGERS = 2048


class PointKind(Enum):
    """What a row promotes."""

    ACTIVATION = "activation"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class Point:
    """One tensor or constant in the format its base holds it in.

    Attributes:
        kind: Tensor (``activation``) or constant (``weight``).
        index: Index of the tensor or constant in the network.
        fmt: Lowest format it is held or read in.
    """

    kind: PointKind
    index: int
    fmt: Format


def points_of(network: Network, placement: Placement, formats: Collection[Format]) -> tuple[Point, ...]:
    """Return every point the base rounds to one of ``formats``, tensors first, in network order.

    Tensors that hold integers brought to float are left out where the format holds them exactly.
    """
    found = []
    for t, tensor in enumerate(network.tensors):
        fmt = min({placement.stored[t], *(placement.read[g][s] for g, s in network.readers[t])})
        if fmt in formats and not (tensor.integer_input and _holds(tensor.integer_input, fmt)):
            found.append(Point(PointKind.ACTIVATION, t, fmt))
    found += [
        Point(PointKind.WEIGHT, c, placement.constants[c])
        for c in range(len(network.constants))
        if placement.constants[c] in formats
    ]
    return tuple(found)


def _holds(ends: tuple[int, int], fmt: Format) -> bool:
    """Whether ``fmt`` has every integer of this range; binary16 has those up to 2048."""
    if fmt is Format.FP16:
        return ends[0] >= -_FP16_INTEGERS and ends[1] <= _FP16_INTEGERS
    return integer_grid(ends, fmt) is not None
