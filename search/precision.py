"""The two vocabularies of precision: number formats of tensors, and precisions of groups.

A *format* is what a tensor is stored in. A *precision* is what a group runs at: for a gemm group
``a16w8`` means 16-bit activation inputs and 8-bit constant weights; any other group has one format
for its inputs and its arithmetic. See docs/glossary.md.
"""

from __future__ import annotations

from enum import Enum

_BITS = {"int8": 8, "int16": 16, "fp16": 16, "fp32": 32}
_FORMATS = tuple(_BITS)


class Format(Enum):
    """Number format of one tensor, ordered ``int8 < int16 < fp16 < fp32``.

    Attributes:
        rank: Position in the order of formats, 0 for int8.
        bits: Width in bits.
    """

    rank: int
    bits: int

    INT8 = "int8"
    INT16 = "int16"
    FP16 = "fp16"
    FP32 = "fp32"

    def __init__(self, value: str) -> None:
        """Keep what is read very often as plain attributes."""
        self.rank = _FORMATS.index(value)
        self.bits = _BITS[value]

    __hash__ = object.__hash__

    @property
    def is_integer(self) -> bool:
        """Whether values lie on a scaled integer grid."""
        return self.rank < 2

    @property
    def n_bytes(self) -> int:
        """Width in bytes."""
        return self.bits // 8

    def __lt__(self, other: Format) -> bool:
        return self.rank < other.rank

    def __le__(self, other: Format) -> bool:
        return self.rank <= other.rank

    def __gt__(self, other: Format) -> bool:
        return self.rank > other.rank

    def __ge__(self, other: Format) -> bool:
        return self.rank >= other.rank


_PAIRS = {
    "a8w8": (Format.INT8, Format.INT8),
    "a16w8": (Format.INT16, Format.INT8),
    "a8w16": (Format.INT8, Format.INT16),
    "a16w16": (Format.INT16, Format.INT16),
}


class Precision(Enum):
    """Precision of one group: a gemm pair ``a<bits>w<bits>``, or one format for everything.

    Attributes:
        activation: Format of the group's activation inputs.
        weight: Format of the group's constants (of input 1 where both inputs are activations).
        is_pair: Whether this is one of the four integer gemm precisions.
        is_float: Whether the group computes in floating point.
    """

    activation: Format
    weight: Format
    is_pair: bool
    is_float: bool

    A8W8 = "a8w8"
    A16W8 = "a16w8"
    A8W16 = "a8w16"
    A16W16 = "a16w16"
    INT8 = "int8"
    INT16 = "int16"
    FP16 = "fp16"
    FP32 = "fp32"

    def __init__(self, value: str) -> None:
        """Keep what is read very often as plain attributes."""
        self.is_pair = value in _PAIRS
        self.activation, self.weight = _PAIRS[value] if self.is_pair else (Format(value), Format(value))
        self.is_float = not self.activation.is_integer

    __hash__ = object.__hash__

    @staticmethod
    def pair(activation: Format, weight: Format) -> Precision:
        """Return the gemm precision with these two formats.

        Raises:
            ValueError: If no such precision exists (one side float and the other integer, or two different floats).
        """
        if (activation, weight) not in _GEMM:
            raise ValueError(f"No gemm precision has activations in {activation.value} and weights in {weight.value}.")
        return _GEMM[activation, weight]

    @staticmethod
    def uniform(fmt: Format) -> Precision:
        """Return the non-gemm precision that uses ``fmt`` throughout."""
        return _UNIFORM[fmt]


_GEMM = {(one.activation, one.weight): one for one in Precision if one.is_pair or one.is_float}
_UNIFORM = {one.activation: one for one in Precision if not one.is_pair}
