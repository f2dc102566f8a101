"""What the Knight tools have to be told beside the model: chip, calibration, data and metric of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.arrays import Slice
from search.canonical import Json

MAX_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class KnightMetric:
    """The first goal of the job, which the infer function returns.

    Attributes:
        name: Metric, or ``onnx:<path>``.
        output: Model output it reads.
        part: Slices of it that are judged, samples first; none for the whole.
        labels: Label key, None for metrics that compare with the float model.
        percentile: Of atol.
        is_fidelity: Whether it compares with the float model.
        graph: Content of a custom metric's ONNX file.
    """

    name: str
    output: str
    labels: str | None
    part: tuple[Slice, ...] = ()
    percentile: float | None = None
    is_fidelity: bool = False
    graph: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class KnightPlan:
    """A search as the Knight tools are told of it.

    Attributes:
        chip: Name of the chip, ``--chip``.
        family: Of the chip.
        takes_mix: Whether its family takes mixed configurations.
        method: Calibration method.
        order: Calibration samples in use, in the order of the search; empty for a run on random numbers.
        n_calibration: Samples in the calibration data.
        seed: Seed of the order.
        fixed_batch: Samples per run where the model fixes it.
        n_evaluation: Evaluation samples in use.
        evaluation_rows: Which of the evaluation data; None for all.
        calibration_file: Name of the calibration data; None for random numbers.
        evaluation_file: Name of the evaluation data; None where there is none.
        preprocess: How images become values, with the channels of the model; None where data are arrays.
        metric: What the infer function returns; None where nothing is measured.
        exact: Model inputs kept as whole numbers to their type, ``uint8 | int8``.
        ranks: Model input to its number of axes, the batch axis included.
    """

    chip: str
    family: str
    takes_mix: bool
    method: str
    order: tuple[int, ...]
    n_calibration: int
    seed: int
    fixed_batch: int | None
    n_evaluation: int
    evaluation_rows: tuple[int, ...] | None
    calibration_file: str | None
    evaluation_file: str | None
    preprocess: Mapping[str, Json] | None
    metric: KnightMetric | None
    exact: Mapping[str, str]
    ranks: Mapping[str, int]

    @property
    def batch(self) -> int:
        """Samples per run: what the model fixes, else the largest number up to 32 that leaves no rest."""
        if self.fixed_batch is not None:
            return self.fixed_batch
        n = max(1, len(self.order))
        return max(size for size in range(1, MAX_BATCH + 1) if n % size == 0)

    @property
    def iterations(self) -> int:
        """Runs of calibration."""
        return max(1, -(-len(self.order) // self.batch))

    @property
    def evaluation_iterations(self) -> int:
        """Runs of evaluation."""
        return max(1, -(-self.n_evaluation // self.batch))
