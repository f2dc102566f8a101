"""The two vocabularies of precision: number formats of tensors, and precisions of groups.

A *format* is what a tensor is stored in. A *precision* is what a group runs at: for a gemm group
``a16w8`` means 16-bit activation inputs and 8-bit constant weights; any other group has one format
for its inputs and its arithmetic. See docs/glossary.md.
"""

from __future__ import annotations

from enum import Enum
from functools import total_ordering


@total_ordering
class Format(Enum):
    """Number format of one tensor, ordered ``int8 < int16 < fp16 < fp32``."""

    INT8 = "int8"
    INT16 = "int16"
    FP16 = "fp16"
    FP32 = "fp32"

    @property
    def rank(self) -> int:
        """Position in the order of formats, 0 for int8."""
        return _FORMAT_RANK[self]

    @property
    def is_integer(self) -> bool:
        """Whether values lie on a scaled integer grid."""
        return self in (Format.INT8, Format.INT16)

    @property
    def bits(self) -> int:
        """Width in bits."""
        return {Format.INT8: 8, Format.INT16: 16, Format.FP16: 16, Format.FP32: 32}[self]

    @property
    def n_bytes(self) -> int:
        """Width in bytes."""
        return self.bits // 8

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Format):
            return NotImplemented
        return self.rank < other.rank


_FORMAT_RANK = {Format.INT8: 0, Format.INT16: 1, Format.FP16: 2, Format.FP32: 3}


class Precision(Enum):
    """Precision of one group: a gemm pair ``a<bits>w<bits>``, or one format for everything."""

    A8W8 = "a8w8"
    A16W8 = "a16w8"
    A8W16 = "a8w16"
    A16W16 = "a16w16"
    INT8 = "int8"
    INT16 = "int16"
    FP16 = "fp16"
    FP32 = "fp32"

    @property
    def activation(self) -> Format:
        """Format of the group's activation inputs."""
        return _PAIRS[self][0]

    @property
    def weight(self) -> Format:
        """Format of the group's constants (of input 1 where both inputs are activations)."""
        return _PAIRS[self][1]

    @property
    def is_pair(self) -> bool:
        """Whether this is one of the four integer gemm precisions."""
        return self.value.startswith("a")

    @property
    def is_float(self) -> bool:
        """Whether the group computes in floating point."""
        return self in (Precision.FP16, Precision.FP32)

    @staticmethod
    def pair(activation: Format, weight: Format) -> Precision:
        """Return the gemm precision with these two formats.

        Raises:
            ValueError: If no such precision exists (one side float and the other integer, or two different floats).
        """
        for precision, formats in _PAIRS.items():
            if formats == (activation, weight) and (precision.is_pair or precision.is_float):
                return precision
        raise ValueError(f"No gemm precision has activations in {activation.value} and weights in {weight.value}.")

    @staticmethod
    def uniform(fmt: Format) -> Precision:
        """Return the non-gemm precision that uses ``fmt`` throughout."""
        return Precision(fmt.value)


_PAIRS = {
    Precision.A8W8: (Format.INT8, Format.INT8),
    Precision.A16W8: (Format.INT16, Format.INT8),
    Precision.A8W16: (Format.INT8, Format.INT16),
    Precision.A16W16: (Format.INT16, Format.INT16),
    Precision.INT8: (Format.INT8, Format.INT8),
    Precision.INT16: (Format.INT16, Format.INT16),
    Precision.FP16: (Format.FP16, Format.FP16),
    Precision.FP32: (Format.FP32, Format.FP32),
}
