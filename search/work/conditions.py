"""What measurements depend on besides the configuration they measure: samples, scales, goals, float outputs.

Parameters of several kinds of work are made of these. A result does not depend on what the user asked for, only on what
is stated here, so studies that agree in it share results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.metrics.reductions import Direction
from search.spec.job import InputReading, InputSettings, Preprocess, TensorSettings, Transform, WeightSettings


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How data files become samples.

    Attributes:
        preprocess: How images become inputs.
        inputs: Model input to what the job says of how its samples lie; inputs it says nothing of are missing.
    """

    preprocess: Preprocess | None
    inputs: Mapping[str, InputReading]


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """Which evaluation samples; their indices mean the same wherever this is equal.

    Attributes:
        evaluation: Digest of the evaluation data; None where there is none.
        confirmation_share: Share of it that is held back.
        reading: How it is read.
        split_seed: Seed of what is held back; None where nothing is.
    """

    evaluation: str | None
    confirmation_share: float
    reading: Reading
    split_seed: int | None


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """Everything that shapes a quantized model besides its configuration and what the target makes of that.

    Attributes:
        scales: Digest of how ranges become scales; see ``scale_identity``.
        inputs: Model input to what the spec says of it.
        overrides: Tensor to the calibration the spec fixes.
        weights: Scales of weights.
        tensor_overrides: Digest of the file of tensor overrides.
    """

    scales: str
    inputs: Mapping[str, InputSettings]
    overrides: Mapping[str, TensorSettings]
    weights: WeightSettings
    tensor_overrides: str | None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What quantized values are made with and compared to.

    Attributes:
        samples: Evaluation samples.
        quantization: How models are quantized.
        float_outputs: Blob of the float model's outputs; None where they are computed again.
        transforms: Output to the post-processing that its errors are taken behind.
    """

    samples: SampleSet
    quantization: Quantization
    float_outputs: str | None
    transforms: Mapping[str, Transform]


@dataclass(frozen=True, kw_only=True)
class MetricUse:
    """The metric of one goal.

    Attributes:
        id: Goal, ``name@output``.
        metric: Name of the metric.
        output: Model output it reads; None where it reads all of them.
        labels: Label array; None for fidelity metrics, and where it reads all of them.
        percentile: Of ``atol``.
        graph: Digest of the ONNX file of a custom metric.
        direction: Which values of a custom metric are better; None for the others, which know.
    """

    id: str
    metric: str
    output: str | None
    labels: str | None
    percentile: float | None
    graph: str | None = None
    direction: Direction | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What every evaluation of a study shares.

    Attributes:
        reference: Samples and float outputs.
        seed: Of the order that samples run in.
        order: Blob of a rearrangement of that order.
        uses: Metrics of the goals.
        badcase: First samples of the order that may be bad cases; None for all.
    """

    reference: Reference
    seed: int
    order: str | None
    uses: tuple[MetricUse, ...]
    badcase: int | None
