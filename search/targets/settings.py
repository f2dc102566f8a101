"""The tables of a target file beside the operator rules: arithmetic, requests, outputs, coordinates, costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from search.graph.fusion import Fusion
from search.precision import Format, Precision
from search.targets.evidence import Gated, Stated, Table


class Scales(Stated):
    """Scale rules by name (``search.quant.grid.ScaleRule``) of activations and weights."""

    activation: str
    weight: str


class FusionTable(Stated):
    """What the runtime runs as one operator: ``search.graph.fusion.Fusion`` with its evidence."""

    sum_into: tuple[str, ...]
    after_gemm: tuple[str, ...]
    after_sum: tuple[str, ...] = ()

    @property
    def fused(self) -> Fusion:
        """The table as grouping reads it."""
        return Fusion(
            sum_into=frozenset(self.sum_into),
            after_gemm=frozenset(self.after_gemm),
            after_sum=frozenset(self.after_sum),
        )

    @property
    def identity(self) -> list[list[str]]:
        """What results depend on, in a fixed order."""
        return [sorted(self.sum_into), sorted(self.after_gemm), sorted(self.after_sum)]


class UniformRequest(Gated):
    """What ``all_low`` or ``all_high`` asks of gemm groups and of all others. The last entry that holds wins."""

    level: Literal["low", "high"]
    gemm: Precision
    other: Precision


class CalibrationDefaults(Stated):
    """Observers to try, by width in bits."""

    methods_8: tuple[str, ...]
    methods_16: tuple[str, ...]


class Arithmetic(Stated):
    """Widths of the integer arithmetic.

    Attributes:
        acc_bits: Gemm precision to accumulator width; biases are as wide.
        multiplier_bits: Width of the requantize multiplier.
        shift_min: Smallest right shift.
        shift_max: Largest right shift.
        preload_left_shift: Largest left shift of the summed input on its way into the accumulator of a gemm.
        rounding: Of requantize, ties: ``half_up | half_even | half_away``.
        overflow: ``error`` makes an overflowing assignment infeasible; the chip may also ``wrap`` or ``saturate``.
    """

    acc_bits: Mapping[Precision, int]
    multiplier_bits: int = Field(ge=2, le=32)
    shift_min: int = 0
    shift_max: int
    preload_left_shift: int = Field(default=16, ge=0)
    rounding: Literal["half_up", "half_even", "half_away"] = "half_up"
    overflow: Literal["error", "wrap", "saturate"] = "error"


class HighOutput(Gated):
    """A gemm that feeds only model outputs hands out its accumulator as a real number.

    Attributes:
        format: Format of such an output.
        forbids: Precisions that cannot be combined with it.
    """

    format: Format = Format.FP32
    forbids: tuple[Precision, ...] = ()
    why: str = ""
    enabled: bool = True


class Coordinates(Gated):
    """Groups that compute the grid of a GridSample, back to the first gemm or model input, run at one format."""

    format: Format = Format.INT16
    why: str = ""
    enabled: bool = True


class GridRule(Gated):
    """Fixed scale of GridSample grids: the threshold is the power of two at or above the calibrated range."""

    format: Format = Format.INT16
    minimum: float = Field(default=1.0, gt=0)
    enabled: bool = True

    def threshold(self, absmax: float) -> float:
        """Return the smallest power of two that is at least ``max(minimum, absmax)``.

        Raises:
            ValueError: If ``absmax`` is not finite.
        """
        if not math.isfinite(absmax):
            raise ValueError(f"The range of a grid must be finite, got {absmax}.")
        fraction, exponent = math.frexp(max(self.minimum, absmax))
        return math.ldexp(1.0, exponent - 1 if fraction == 0.5 else exponent)


class Knight(Stated):
    """What the Knight tools call the chip.

    Attributes:
        chip: Name of the chip, ``--chip``.
        family: Of the chip.
        mix_config: Whether the tools take a bit width per operator for this family.
    """

    chip: str
    family: str
    mix_config: bool = False


class FixedScale(Stated):
    """Scale and zero point an operator's output must have."""

    scale: float = Field(gt=0)
    zero_point: int = 0


class Coefficient(Table):
    """One number of the cost model and how far to trust it."""

    value: float = Field(gt=0)
    source: Literal["vendor", "measured", "assumed"]
    certainty: Literal["C", "C-old", "U", "I", "?"]
    note: str = ""


Kernel = Literal["spatial", "depthwise", "pointwise", "transposed", "matmul", "product", "summed", "recurrent"]
"""Kinds of multiply-accumulate kernels a target may rate apart; see kernels.py."""


class Fit(Table):
    """What a fit to measurements found out about itself; a target that has it gives its costs in microseconds.

    All errors are of measurements that were left out while the numbers that predict them were fitted.

    Attributes:
        measurements: How many.
        models: Of how many models.
        mape: Mean absolute error relative to what was measured.
        mape_interval: 95 % bootstrap interval.
        kendall_tau: Rank correlation of predicted and measured times, mean over the models.
        kendall_tau_interval: 95 % bootstrap interval.
        error_90: Nine tenths of the relative errors are at most this: the error bar of a prediction.
        mape_other_models: The same as ``mape`` while whole models were left out, or None with one model.
        measured_on: What was measured, in words.
    """

    measurements: int = Field(gt=0)
    models: int = Field(gt=0)
    mape: float = Field(ge=0)
    mape_interval: tuple[float, float]
    kendall_tau: float = Field(ge=-1, le=1)
    kendall_tau_interval: tuple[float, float]
    error_90: float = Field(ge=0)
    mape_other_models: float | None = Field(default=None, ge=0)
    measured_on: str = ""


class Coefficients(Table):
    """The cost model's numbers. All rates are for one core.

    Attributes:
        peak_macs_per_s: Multiply-accumulates at ``a8w8``.
        utilization: Share of the peak that real layers reach.
        relative_rate: Precision to its rate relative to ``a8w8`` (``fp32``: groups that stay float).
        kernel_rate: The same for one kind of kernel, where it differs; a missing precision takes ``relative_rate``.
        unfused_rate: Kind of kernel to precision to the rate of what an integer gemm takes on top where its output is
            not stored in its own activation format: it then has no integer kernel.
        bytes_per_s: Memory traffic of operands and results.
        elements_per_s: ONNX operator, class, or ``default``, the first that is there, to format to element work.
        cast_bytes_per_s: Bytes read and written by casts: ``integer`` among integers, ``float`` where one side is real.
        runs_per_s: Runs of an empty model; None where that time is not counted.
        fit: How well the numbers agree with measurements, if they were fitted to some.
    """

    peak_macs_per_s: Coefficient
    utilization: Coefficient
    relative_rate: Mapping[Precision, Coefficient]
    kernel_rate: Mapping[Kernel, Mapping[Precision, Coefficient]] = {}
    unfused_rate: Mapping[Kernel, Mapping[Precision, Coefficient]] = {}
    bytes_per_s: Coefficient
    elements_per_s: Mapping[str, Mapping[Format, Coefficient]]
    cast_bytes_per_s: Mapping[Literal["integer", "float"], Coefficient]
    runs_per_s: Coefficient | None = None
    fit: Fit | None = None
