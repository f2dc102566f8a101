"""``compare``: mean output errors of one configuration, by which calibration methods are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.canonical import Json
from search.encoding import decoded
from search.errors import InvalidDataError
from search.evaluation.configuration import Configuration
from search.evaluation.measure import comparable, runs
from search.metrics.output_error import ERROR_NAMES, output_errors
from search.runtime.session import Session
from search.targets.identity import Numerics
from search.tasks import Kind
from search.work.conditions import Quantization, SampleSet
from search.work.item_runner import ItemRunner, Raw

KIND = Kind(
    name="compare", label="compare calibration methods", doing="comparing calibration methods", phase="baseline"
)


@dataclass(frozen=True)
class Compared:
    """Errors of one configuration.

    Attributes:
        errors: Output to error name to its mean over the samples.
        failed: Why the configuration cannot be built; None if it can.
    """

    errors: Mapping[str, Mapping[str, float]]
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Measure output errors on a range of the order.

    Attributes:
        samples: Evaluation samples.
        seed: Of their order.
        quantization: How the model is quantized.
        numerics: What the target makes of the configuration.
        configuration: What is measured.
        range: Of the order, start and stop.
        outputs: Outputs whose error is taken.
        float_outputs: Blob of the float model's outputs.
    """

    kind: ClassVar[Kind] = KIND
    samples: SampleSet
    seed: int
    quantization: Quantization
    numerics: Numerics
    configuration: Configuration
    range: tuple[int, int]
    outputs: tuple[str, ...]
    float_outputs: str | None

    def read(self, data: Json) -> Compared:
        """Read a stored result."""
        return decoded(Compared, data)

    def run(self, runner: ItemRunner) -> Raw[Compared]:
        """Run the Q/DQ model and add up its errors."""
        indices = runner.order[self.range[0] : self.range[1]]
        try:
            model = runner.qdq(self.configuration).model
        except InvalidDataError as error:
            return Raw(Compared({}, failed=str(error)))
        session = Session(model, level=runner.level, threads=runner.problem.threads)
        sums = {name: dict.fromkeys(ERROR_NAMES, 0.0) for name in self.outputs}
        for batch, values in runs(session, runner.evaluation, runner.loaded.feeding, indices, self.outputs):
            exact = runner.float_outputs(self.float_outputs, batch, self.outputs)
            for name, found in sums.items():
                errors = output_errors(comparable(values[name], exact[name]), exact[name])
                for key in ERROR_NAMES:
                    found[key] += float(np.sum(errors[key], dtype=np.float64))
        return Raw(
            Compared({name: {key: total / len(indices) for key, total in one.items()} for name, one in sums.items()})
        )
