"""The job spec: everything a user can ask of a search, in one schema for command line, REST and dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from search.precision import Precision
from search.spec.goals import Goal, Positive
from search.spec.strict import Interval, Items, SpecModel, Switch, Text

JOB_SCHEMA: Literal["bitbudget.job/1"] = "bitbudget.job/1"
RANDOM = "random"  #: ``data.calibration`` of a run without data

Count = Annotated[int, Field(ge=1)]
Samples = Literal["all"] | Count
CalibrationMethod = Literal["min_max", "percentile", "mse", "kl", "kl_v2", "mix"]
Evaluator = Literal["integer", "fake_quant"]
PrecisionName = Literal["int8", "int16", "fp16", "fp32", "a8w8", "a16w8", "a8w16", "a16w16"]


class Preprocess(SpecModel):
    """How an image becomes a model input: ``x = (pixel - mean) * scale``, pixels in 0..255.

    ``resize`` brings the shorter side to that many pixels, ``crop`` then cuts a square (or ``[height, width]``) from
    the middle. ``mean`` and ``scale`` are one number, or one per channel in the order that ``order`` gives.
    """

    order: Literal["RGB", "BGR"] = "RGB"
    resize: Count | None = None
    crop: Count | Items[Count] | None = None
    mean: float | Items[float] = 0.0
    scale: float | Items[float] = 1.0
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @field_validator("crop")
    @classmethod
    def _crop_has_two_sides(cls, crop: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
        if isinstance(crop, tuple) and len(crop) != 2:
            raise ValueError(f"crop must be one number or [height, width], got {len(crop)} numbers")
        return crop

    @field_validator("mean", "scale")
    @classmethod
    def _per_channel(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if isinstance(value, tuple) and len(value) not in (1, 3):
            raise ValueError(f"must be one number or one per channel (1 or 3), got {len(value)} numbers")
        return value


class Data(SpecModel):
    """Where the samples are; each set a path (or, over REST, a reference)."""

    calibration: Text
    evaluation: Text | None = None
    confirmation: Text | None = None
    confirmation_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    preprocess: Preprocess | None = None

    @model_validator(mode="after")
    def _sets_fit(self) -> Data:
        if self.evaluation is None and not self.is_random:
            raise ValueError("'evaluation' is missing; only calibration: random goes without")
        if self.confirmation is not None and self.confirmation_share > 0:
            raise ValueError("give confirmation or confirmation_share, not both")
        return self

    @property
    def is_random(self) -> bool:
        """Whether calibration runs on random samples, without any accuracy."""
        return self.calibration == RANDOM


class Target(SpecModel):
    """The chip; where its rules depend on them, the version of its tool-chain and the way to it (ONNX or PyTorch)."""

    name: Text
    toolchain: Text | None = None
    route: Literal["hmct", "plugin"] | None = None


@dataclass(frozen=True, kw_only=True)
class InputReading:
    """How samples lie in one model input, as far as the job says; see ``InputSettings``.

    Attributes:
        batch_axis: Axis along which samples lie; None where a run takes one sample.
        constant: Value that all samples share.
        shape: Sizes, batch included.
    """

    batch_axis: int | Literal["auto"] | None = "auto"
    constant: float | tuple[float, ...] | Literal["data"] | None = None
    shape: tuple[int, ...] | None = None


class InputSettings(SpecModel):
    """What the user knows about a model input: range, whether it is quantized, and how samples lie in it.

    ``batch_axis`` is the axis along which samples lie; null (or ``none``) says that a run takes one sample, which has
    no such axis. ``constant`` is a value that all samples share (``data``: the one in the data file). ``shape`` closes
    open sizes, batch included.
    """

    range: Interval | None = None
    quantize: Switch = True
    batch_axis: Annotated[int, Field(ge=0)] | Literal["auto", "none"] | None = "auto"
    constant: float | Items[float] | Literal["data"] | None = None
    shape: Items[Count] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> InputSettings:
        if self.constant is not None and self.batch_axis != "auto":
            raise ValueError("a constant input has no samples; give constant or batch_axis, not both")
        return self

    @property
    def axis(self) -> int | Literal["auto"] | None:
        """``batch_axis`` with one spelling of none."""
        return None if self.batch_axis == "none" else self.batch_axis

    @property
    def has_value(self) -> bool:
        """Whether the job itself gives the value of the input."""
        return self.constant is not None and self.constant != "data"

    @property
    def reading(self) -> InputReading:
        """What shapes how data is read: part of the identity of every result."""
        return InputReading(batch_axis=self.axis, constant=self.constant, shape=self.shape)


Transform = Literal["sigmoid", "softmax"]
"""Post-processing that lives outside the ONNX file, for ranking only."""


class OutputSettings(SpecModel):
    """How a model output is ranked and in which precision it leaves the chip."""

    transform: Transform | None = None
    cut: Literal["auto", "off"] = "auto"
    precision: Literal["high", "int8", "int16"] = "high"


class BadCase(SpecModel):
    """How many evaluation samples are looked through for bad cases."""

    samples: Samples = "all"


class Run(SpecModel):
    """How the study is run; nothing here changes which result is right."""

    priority: int = 0
    threads: Count = 1
    timeout_s: Positive | None = None


class Pin(SpecModel):
    """Precisions the search may not move: of groups selected by node name or glob, operator type, or scope.

    Selectors that are given must all hold. ``freeze`` alone fixes what the group would get by default.
    """

    match: Text | None = None
    op_type: Text | None = None
    scope: Text | None = None
    at_least: PrecisionName | None = None
    at_most: PrecisionName | None = None
    exactly: PrecisionName | None = None
    freeze: Switch = False

    @model_validator(mode="after")
    def _selects_and_fixes(self) -> Pin:
        if self.match is None and self.op_type is None and self.scope is None:
            raise ValueError("a pin needs match, op_type or scope")
        bounds = self.at_least is not None or self.at_most is not None
        if not bounds and self.exactly is None and not self.freeze:
            raise ValueError("a pin needs at_least, at_most, exactly or freeze")
        if bounds and self.exactly is not None:
            raise ValueError("a pin takes exactly, or at_least and at_most, not both")
        if self.at_least is not None and self.at_most is not None:
            _check_order(Precision(self.at_least), Precision(self.at_most))
        return self


def _check_order(low: Precision, high: Precision) -> None:
    if low.activation > high.activation or low.weight > high.weight:
        raise ValueError(f"at_least {low.value} is above at_most {high.value}")


class TensorSettings(SpecModel):
    """Calibration of one tensor: its range, its method, or a fixed scale (the step of whatever width is chosen)."""

    range: Interval | None = None
    method: CalibrationMethod | None = None
    scale: Positive | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> TensorSettings:
        given = [name for name in ("range", "method", "scale") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of range, method and scale; got {' and '.join(given) or 'none'}")
        return self


class WeightSettings(SpecModel):
    """Scales of weights; ``symmetric: auto`` means symmetric for signed types.

    ``reduce_range: auto`` means seven bits where the runtime on this processor saturates sums of two products.
    """

    granularity: Literal["channel", "tensor"] = "channel"
    symmetric: Literal["auto"] | Switch = "auto"
    reduce_range: Literal["auto"] | Switch = "auto"


class CalibrationSettings(SpecModel):
    """Methods tried at 8 bit (None: those of the target), samples used, and what is known about single tensors."""

    methods: Annotated[Items[CalibrationMethod], Field(json_schema_extra={"minItems": 1})] | None = None
    samples: Samples = "all"
    overrides: dict[str, TensorSettings] = Field(default_factory=dict)
    weights: WeightSettings = WeightSettings()

    @field_validator("methods")
    @classmethod
    def _each_once(cls, methods: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if methods is None:
            return None
        if not methods:
            raise ValueError("name at least one method")
        if len(set(methods)) != len(methods):
            raise ValueError("a method is listed twice")
        return methods


class SearchSettings(SpecModel):
    """Strategy, evaluator and limits."""

    strategy: Literal["auto", "ladder", "optuna", "exhaustive"] = "auto"
    sampler: Literal["tpe", "nsga2"] = "tpe"
    evaluator: Evaluator | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    batch: Count = 1
    task_macs: Positive = 2.0e10
    confidence: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    max_evaluations: Count | None = None
    max_seconds: Positive | None = None
    measure: bool | None = None


class JobSpec(SpecModel):
    """One search, as the user asked for it."""

    schema_: Literal["bitbudget.job/1"] = Field(default=JOB_SCHEMA, alias="schema")
    model: Text
    data: Data
    target: Target
    goal: Items[Goal] = ()
    expected_float: dict[str, float] = Field(default_factory=dict)
    inputs: dict[str, InputSettings] = Field(default_factory=dict)
    outputs: dict[str, OutputSettings] = Field(default_factory=dict)
    badcase: BadCase = BadCase()
    remedies: Switch = False
    strict: Switch = False
    allow_float: Switch = False
    overrides: Text | None = None
    run: Run = Run()
    pins: Items[Pin] = ()
    calibration: CalibrationSettings = CalibrationSettings()
    search: SearchSettings = SearchSettings()

    def to_json(self) -> dict[str, Any]:
        """Return the spec with every default filled in, as JSON values under the keys of the file."""
        return self.model_dump(mode="json", by_alias=True)


def job_schema() -> dict[str, Any]:
    """Return the published JSON Schema of the job spec; ``job.schema.json`` beside this file holds its text."""
    schema = JobSpec.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": JOB_SCHEMA, **schema}
