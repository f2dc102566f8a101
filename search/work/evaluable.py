"""A configuration made ready to run: as integer arithmetic, or as a Q/DQ model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from search.evaluation.configuration import Configuration
from search.evaluation.measure import Runnable
from search.evaluation.refusal import Refusal, overflowed
from search.simulator.fast.session import IntegerSession
from search.simulator.program import Warned


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What the making of a model found out; see docs/results.md.

    Attributes:
        float_biases: Biases of the Q/DQ model that stay float, because as int32 they would overflow.
        warnings: What the integer program gave way to.
        float_interior: Quantized groups the simulator computes in float between integer ends.
    """

    float_biases: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
    float_interior: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluable:
    """Something that turns inputs into outputs, and what its making found out.

    Attributes:
        session: What runs.
        notes: What its making found out.
        refused: Why the chip cannot run the configuration at all; the session is then that of the Q/DQ model.
    """

    session: Runnable
    notes: Notes = field(default_factory=Notes)
    refused: Refusal | None = None

    def begin(self) -> None:
        """Forget what earlier runs found."""
        if isinstance(self.session, IntegerSession):
            self.session.clear()

    def infeasible(self) -> Refusal | None:
        """Why the chip cannot run it, as far as seen since ``begin``."""
        if self.refused is not None or not isinstance(self.session, IntegerSession):
            return self.refused
        overflows = self.session.overflows
        return overflowed(overflows) if overflows else None


def cache_key(configuration: Configuration, evaluator: str, extra: Sequence[str]) -> tuple[str, ...]:
    """What a session depends on."""
    return (configuration.digest, evaluator, *extra)
