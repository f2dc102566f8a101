"""What the arithmetic of the chip has ruled out so far, and what takes its place.

An accumulator that overflows, or a requantize shift out of range, is found out by running a configuration. The group
then gets another precision in every later request: one with more integer bits if the chip has one, else the widest of
those with fewer, else a float one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from search.assignment import Assignment
from search.evaluation.refusal import Refusal
from search.graph.network import Network
from search.precision import Precision


@dataclass
class InfeasibleSet:
    """Precisions of groups that cannot run.

    Attributes:
        network: Groups.
        allowed: Legal precisions of every group, cheapest first.
        found: ``(group, precision)`` to the reason.
    """

    network: Network
    allowed: Sequence[Sequence[Precision]]
    found: dict[tuple[int, Precision], str] = field(default_factory=dict)

    def learn(self, infeasible: Refusal, effective: Assignment) -> bool:
        """Take in why ``effective`` cannot run; return whether another precision is left for every group concerned."""
        names = set(infeasible.nodes)
        groups = [g for g, group in enumerate(self.network.groups) if group.name in names]
        for g in groups:
            self.found[(g, effective[g])] = infeasible.message
        return bool(groups) and all(self._instead(g, effective[g]) is not None for g in groups)

    def avoid(self, effective: Assignment) -> tuple[dict[int, Precision], dict[int, str]]:
        """Changes that lead away from what is ruled out, and why."""
        changes, reasons = {}, {}
        for g, precision in enumerate(effective.precisions):
            why = self.found.get((g, precision))
            instead = None if why is None else self._instead(g, precision)
            if why is not None and instead is not None:
                changes[g], reasons[g] = instead, why
        return changes, reasons

    def _instead(self, group: int, precision: Precision) -> Precision | None:
        left = [one for one in self.allowed[group] if (group, one) not in self.found]
        integers = [one for one in left if not one.is_float]
        wider = [one for one in integers if one.activation >= precision.activation and one.weight >= precision.weight]
        if wider:
            return wider[0]
        return integers[-1] if integers else (left[0] if left else None)
