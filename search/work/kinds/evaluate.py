"""``evaluate``: one configuration on a range of samples, by integer arithmetic or as a Q/DQ model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.canonical import Json
from search.encoding import decoded
from search.evaluation.configuration import Configuration
from search.evaluation.measure import Measured
from search.evaluation.refusal import Refusal
from search.metrics.part import StoredPart
from search.simulator.program import Warned
from search.spec.job import Evaluator
from search.spec.output_part import output_of
from search.targets.identity import Numerics
from search.tasks import Kind
from search.work.conditions import Evaluation
from search.work.item_runner import ItemRunner, Raw
from search.work.measured import measured

KIND = Kind(name="evaluate", label="evaluate an assignment", doing="evaluating", phase="search")
N_WORST = 32
"""Bad cases kept per value and error."""
Worst = Mapping[str, Mapping[str, tuple[tuple[int, float], ...]]]
"""Value to error name to samples with their errors, largest first."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One range of samples.

    Attributes:
        parts: Goal to its result.
        digest: Of the outputs.
        worst: The samples with the largest errors.
        errors: Value to error name to the sum over the samples.
        infeasible: Why the chip cannot run the configuration; None if it can.
        float_biases: Biases that stay float in the Q/DQ model.
        warnings: What the integer program gave way to.
        float_interior: Quantized groups the simulator computed in float.
    """

    parts: Mapping[str, StoredPart]
    digest: str
    worst: Worst
    errors: Mapping[str, Mapping[str, float]]
    infeasible: Refusal | None = None
    float_biases: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
    float_interior: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure one configuration.

    Attributes:
        evaluation: What every evaluation of the study shares.
        numerics: What the target makes of the configuration.
        evaluator: By integer arithmetic or as a Q/DQ model.
        configuration: What is measured.
        errors_of: Values whose errors are taken.
        range: Of the order, start and stop.
    """

    kind: ClassVar[Kind] = KIND
    evaluation: Evaluation
    numerics: Numerics
    evaluator: Evaluator
    configuration: Configuration
    errors_of: tuple[str, ...]
    range: tuple[int, int]

    def read(self, data: Json) -> Evaluated:
        """Read a stored result."""
        return decoded(Evaluated, data)

    def run(self, runner: ItemRunner) -> Raw[Evaluated]:
        """Measure the range.

        What the integer arithmetic of the chip cannot run at all is measured as a Q/DQ model and marked infeasible, so
        that a strategy still learns where its errors are.
        """
        extra = [name for name in self.errors_of if output_of(name) not in runner.loaded.template.outputs]
        start, stop = self.range
        order = runner.order_of(self.evaluation.order)
        indices = order[start:stop]
        model = runner.evaluable(self.configuration, self.evaluator, extra)
        found = measured(runner, model.session, indices, self.evaluation, self.errors_of, is_last=stop >= len(order))
        return Raw(
            Evaluated(
                parts=found.parts,
                digest=found.digest,
                worst=_worst(found, indices, look_at=self._looked_at),
                errors=_sums(found),
                infeasible=model.infeasible(),
                float_biases=model.notes.float_biases,
                warnings=model.notes.warnings,
                float_interior=model.notes.float_interior,
            )
        )

    @property
    def _looked_at(self) -> int | None:
        """How many samples of the range may be bad cases; None for all."""
        limit = self.evaluation.badcase
        return None if limit is None else max(0, limit - self.range[0])


def _worst(found: Measured, indices: npt.NDArray[np.int64], *, look_at: int | None) -> Worst:
    """Samples with the largest errors, largest first; ties by position in the order."""
    return {
        name: {error: _top(values[:look_at], indices) for error, values in by_error.items()}
        for name, by_error in found.errors.items()
    }


def _sums(found: Measured) -> dict[str, dict[str, float]]:
    return {
        name: {error: float(np.sum(values, dtype=np.float64)) for error, values in by_error.items()}
        for name, by_error in found.errors.items()
    }


def _top(values: Sequence[float] | Array, indices: npt.NDArray[np.int64]) -> tuple[tuple[int, float], ...]:
    order = np.argsort(-np.asarray(values, dtype=np.float64), kind="stable")[:N_WORST]
    return tuple((int(indices[i]), float(values[i])) for i in order)
