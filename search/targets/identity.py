"""What of a target the result of a measurement depends on: this, and no more, goes into its identity.

- How scales are made: the rules for activations and weights, and grids the target fixes for operators of the network.
- What an assignment becomes: the format of every tensor, reader and constant.
- The arithmetic, where integers are computed.

Names, costs, rules about what is legal, requests and the choice of calibration methods decide what is measured, not
what comes out. Chips and tool-chains that agree in the above share results.
"""

from __future__ import annotations

from dataclasses import dataclass

from search.assignment import Assignment
from search.canonical import digest_json
from search.graph.network import Network, SlotKind
from search.precision import Format
from search.targets.evidence import Stated
from search.targets.placement import place_by
from search.targets.rulebook import Rulebook
from search.targets.target import Target

_INTEGERS = (Format.INT8, Format.INT16)


def scale_identity(network: Network, target: Target) -> str:
    """Digest of how ranges of this network's tensors and values of its constants become integers."""
    op_types = sorted({group.op_type for group in network.groups})
    fixed = {
        op_type: {
            fmt.value: target.fixed_output(op_type, fmt) for fmt in _INTEGERS if target.fixed_output(op_type, fmt)
        }
        for op_type in op_types
    }
    has_grids = any(slot.kind is SlotKind.GRID for group in network.groups for slot in group.inputs)
    grid = target.grid_rule if has_grids else None
    return digest_json(
        {
            "activation": target.activation_rule,
            "weight": target.weight_rule,
            "fixed_outputs": {op_type: by_format for op_type, by_format in fixed.items() if by_format},
            "grid": None if grid is None else [grid.format.value, grid.minimum],
        }
    )


@dataclass(frozen=True)
class Numerics:
    """What a target makes of a legal assignment.

    Attributes:
        placement: Digest of the format of every tensor, reader and constant.
        arithmetic: Digest of the integer arithmetic; None where a Q/DQ model computes.
    """

    placement: str
    arithmetic: str | None = None


def numerics(book: Rulebook, effective: Assignment, *, integers: bool) -> Numerics:
    """Return what a target makes of a legal assignment.

    Args:
        book: The target laid over the network.
        effective: One legal precision per group.
        integers: Whether the arithmetic of the chip computes it, rather than a Q/DQ model.
    """
    placement = place_by(book, effective).digest
    if not integers:
        return Numerics(placement)
    arithmetic = book.target.arithmetic.model_dump(mode="json", exclude=set(Stated.model_fields))
    return Numerics(placement, digest_json(arithmetic))
