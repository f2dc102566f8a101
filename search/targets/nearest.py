"""The nearest of several precisions to one that is not among them.

Integers go down, and up only where nothing below is possible; of two equally near gemm precisions the one wins that
keeps 16 bit on the wanted side. Floats become the next float up, else the highest that is possible.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.precision import Format, Precision


def as_kind(precision: Precision, *, is_gemm: bool) -> Precision:
    """Return the precision as this kind of group spells it: a gemm by a pair (``int16`` is ``a16w8``), others not."""
    if is_gemm and precision is Precision.INT8:
        return Precision.A8W8
    if is_gemm and precision is Precision.INT16:
        return Precision.A16W8
    if not is_gemm and precision.is_pair:
        return Precision.uniform(precision.activation)
    return precision


def nearest(wish: Precision, possible: Sequence[Precision], *, side: str = "activation") -> Precision:
    """Return ``wish`` or the member of ``possible`` nearest to it."""
    if wish in possible:
        return wish
    reals = sorted((p for p in possible if p.is_float), key=lambda p: p.activation)
    if wish.is_float and reals:
        above = [p for p in reals if p.activation >= wish.activation]
        return above[0] if above else reals[-1]
    integers = [p for p in possible if not p.is_float]
    if not integers:
        return reals[0]
    below = [p for p in integers if p.activation <= wish.activation and p.weight <= wish.weight]
    if below:
        return max(below, key=lambda p: _height(p, side))
    above = [p for p in integers if p.activation >= wish.activation and p.weight >= wish.weight]
    return min(above or integers, key=lambda p: _height(p, side))


def _height(precision: Precision, side: str) -> tuple[int, int]:
    """Number of 16-bit sides, then whether the wanted side is one of them."""
    wide = {"activation": precision.activation is Format.INT16, "weight": precision.weight is Format.INT16}
    return sum(wide.values()), int(wide.get(side, False))
