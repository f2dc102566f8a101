"""What was measured: a time, and the work it paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.assignment import Assignment
from search.graph.network import Network
from search.targets.cost import CostModel
from search.targets.target import Target

PER_RUN = "runs_per_s"


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One measured time.

    Attributes:
        model: Which model; measurements of one model share it.
        microseconds: Time of one run.
        samples: Samples of one run.
        network: Groups and tensors, None where only a report's own sums are known.
        assignment: What ran, None with ``network``.
        sums: Work of one run by coefficient, for a report without ``network``.
    """

    model: str
    microseconds: float
    samples: int = 1
    network: Network | None = None
    assignment: Assignment | None = None
    sums: Mapping[str, int] | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """Model and what ran; equal for repeated measurements."""
        if self.assignment is not None:
            return self.model, self.assignment.digest
        return self.model, repr(sorted((self.sums or {}).items()))


class Works:
    """Work by coefficient of many measurements on one target; what networks share is made once."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._models: dict[int, CostModel] = {}

    def of(self, measured: Measured) -> dict[str, float]:
        """Return the work of one run: path of the coefficient below ``[cost]`` to amount.

        Raises:
            ValueError: If the assignment is illegal on the target.
        """
        found: dict[str, float] = {PER_RUN: 1.0}
        if measured.network is None or measured.assignment is None:
            return {**found, **(measured.sums or {})}
        model = self._models.get(id(measured.network))
        if model is None:
            model = self._models[id(measured.network)] = CostModel(measured.network, self._target)
        for key, amount in model.work(measured.assignment).items():
            if key != PER_RUN:
                found[key] = float(amount * measured.samples)
        return found
