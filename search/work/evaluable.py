"""A configuration made ready to run: as integer arithmetic, or as a Q/DQ model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.evaluation.configuration import Configuration
from search.evaluation.measure import Runnable
from search.simulator.fast.session import IntegerSession
from search.simulator.making.infeasible import Infeasible
from search.simulator.program import Overflow


@dataclass(frozen=True)
class Evaluable:
    """Something that turns inputs into outputs, and what its making found out.

    Attributes:
        session: What runs.
        notes: ``float_biases``, ``warnings``, ``float_interior``: see docs/results.md.
        refused: Why the chip cannot run the configuration at all; the session is then that of the Q/DQ model.
    """

    session: Runnable
    notes: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, Any] | None = None

    def begin(self) -> None:
        """Forget what earlier runs found."""
        if isinstance(self.session, IntegerSession):
            self.session.clear()

    def infeasible(self) -> Mapping[str, Any] | None:
        """Why the chip cannot run it, as far as seen since ``begin``."""
        if self.refused is not None or not isinstance(self.session, IntegerSession):
            return self.refused
        overflows = self.session.overflows
        return overflowed(overflows) if overflows else None


def refused(error: Infeasible) -> dict[str, Any]:
    """A requantizer out of its range, as JSON."""
    return {
        "node": error.node,
        "what": error.what,
        "value": error.value,
        "range": [error.low, error.high],
        "message": str(error),
        "nodes": [error.node],
    }


def overflowed(overflows: Sequence[Overflow]) -> dict[str, Any]:
    """Accumulators beyond their width, as JSON; the worst one speaks."""
    worst = max(overflows, key=lambda one: (one.largest / 2.0**one.bits, one.node))
    limit = 2 ** (worst.bits - 1)
    return {
        "node": worst.node,
        "what": "accumulator",
        "value": worst.largest,
        "range": [-limit, limit - 1],
        "message": (
            f"The accumulator of {worst.node} reaches {worst.largest}, beyond {worst.bits} bit (at most {limit - 1}). "
            "Another precision of this group, or a smaller range of its input, avoids it."
        ),
        "nodes": sorted({one.node for one in overflows}),
    }


def cache_key(configuration: Configuration, evaluator: str, extra: Sequence[str]) -> tuple[str, ...]:
    """What a session depends on."""
    return (configuration.digest, evaluator, *extra)
