"""ONNX Runtime's names for integer grids: ``QInt8``, ``QUInt16``, ... and what they say in bits and sign."""

from __future__ import annotations

from dataclasses import dataclass

from search.errors import UsageError
from search.precision import Format


@dataclass(frozen=True, slots=True)
class OrtType:
    """Width and sign behind a ``QuantType`` name."""

    bits: int
    signed: bool

    @property
    def name(self) -> str:
        """The member name in ``onnxruntime.quantization.QuantType``."""
        return f"Q{'' if self.signed else 'U'}Int{self.bits}"

    @property
    def format(self) -> Format:
        """The tensor format of that width."""
        return Format.INT8 if self.bits == 8 else Format.INT16

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer."""
        low = -(1 << (self.bits - 1)) if self.signed else 0
        return low, low + (1 << self.bits) - 1


_TYPES = {t.name: t for t in (OrtType(8, True), OrtType(8, False), OrtType(16, True), OrtType(16, False))}


def parse_ort_type(text: object, *, where: str) -> OrtType:
    """Read ``QInt8`` or ``QuantType.QInt8``.

    Raises:
        UsageError: If the text names no integer type of 8 or 16 bits.
    """
    found = _TYPES.get(text.removeprefix("QuantType.")) if isinstance(text, str) else None
    if found is None:
        raise UsageError(f"{where}: quant_type {text!r} is not known. Use one of {', '.join(sorted(_TYPES))}.")
    return found
