"""Inputs that the chip reads at 8 bit although their group runs at 16: the silent fall-backs, said aloud."""

from __future__ import annotations

from collections.abc import Iterator

from search.assignment import Assignment
from search.graph.network import Network, SlotKind
from search.precision import Format
from search.records.finding import Finding
from search.targets.placement import Placement

_WHAT = {
    SlotKind.SUM_IN: "the summed input of a fused Add",
    SlotKind.FEATURE: "the feature of a GridSample",
}


def fallback_findings(network: Network, effective: Assignment, placement: Placement) -> Iterator[Finding]:
    """One finding for all inputs below their group's activation format.

    Args:
        network: Groups and tensors.
        effective: Precision of every group.
        placement: Formats the slots are read in.
    """
    found = []
    for g, group in enumerate(network.groups):
        for s, slot in enumerate(group.inputs):
            read = placement.read[g][s]
            if read is Format.INT8 and effective[g].activation is Format.INT16 and slot.kind is not SlotKind.SECOND:
                found.append([group.name, network.tensors[slot.tensor].op_name, _WHAT.get(slot.kind, "an input")])
    if found:
        named = "; ".join(f"{what} of {group!r} (written by {writer!r})" for group, writer, what in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        yield Finding(
            code="silent-int8",
            severity="warning",
            message=f"{len(found)} inputs are read in int8 although their group runs at 16 bit: {named}{more}.",
            advice="Known behaviour of this tool-chain; a newer one (see docs/targets.md) or an Identity before the "
            "Add lets them be 16 bit.",
            evidence={"inputs": found},
        )
