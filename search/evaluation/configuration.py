"""One quantized model as a value: what each group runs at, with which scales and treatments.

Everything a Q/DQ model depends on besides the network, the target and the data is here, so its digest identifies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from search.assignment import Assignment
from search.canonical import Json, digest_json


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Which scales.

    Attributes:
        blob: Digest of the derived ranges.
        method_8: Method at 8 bit.
        method_16: Method at 16 bit.
        samples: How many samples they come from.
        exact: Tensors of model inputs that are held as the whole numbers they are, never rounded, because a strategy
            chose so; those the job spec fixes are not listed.
        method_other: Method at 8 bit of tensors that no gemm writes; None if it is ``method_8``.
    """

    blob: str
    method_8: str
    method_16: str
    samples: int
    exact: tuple[int, ...] = ()
    method_other: str | None = None

    def to_json(self) -> dict[str, Json]:
        """Return a JSON value."""
        stated: dict[str, Json] = {
            "blob": self.blob,
            "method_8": self.method_8,
            "method_16": self.method_16,
            "samples": self.samples,
        }
        exact: dict[str, Json] = {"exact": list(self.exact)} if self.exact else {}
        return {**stated, **exact, **({"method_other": self.method_other} if self.method_other else {})}


@dataclass(frozen=True)
class Treatment:
    """What the guide does beside precision.

    Attributes:
        prescale: Tensor index to exponent ``k``: held in fp16 as ``x * 2**-k``.
        ranges: Tensor index to fixed ``(low, high)``.
    """

    prescale: Mapping[int, int] = field(default_factory=dict)
    ranges: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return a JSON value; keys are tensor indices as text."""
        return {
            "prescale": {str(t): k for t, k in sorted(self.prescale.items())},
            "ranges": {str(t): list(r) for t, r in sorted(self.ranges.items())},
        }


@dataclass(frozen=True)
class Configuration:
    """One quantized model: effective assignment, scales, treatment."""

    effective: Assignment
    calibration: Calibration
    treatment: Treatment

    @cached_property
    def digest(self) -> str:
        """Identity."""
        return digest_json(self.to_json())

    def to_json(self) -> dict[str, Json]:
        """Return a JSON value."""
        return {
            "effective": self.effective.to_json(),
            "calibration": self.calibration.to_json(),
            "treatment": self.treatment.to_json(),
        }
