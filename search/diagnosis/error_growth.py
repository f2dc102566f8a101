"""Where, in depth order, the error of the quantized model starts to grow.

The *fall* of a layer is the lowest SQNR among the tensors it reads that have an error, minus its own. The error starts
at the first layer that

1. falls by at least 6 dB (four times the noise power), or has an error although all it reads is exact, and
2. comes within 12 dB of the lowest SQNR of the network,

for only such a layer explains the lowest. Without one the error grows evenly. A layer whose quantized values are not
finite comes before all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FALL_DB = 6.0
NEAR_DB = 12.0
EXACT_DB = 200.0
_OWN_DB = 3.0
"""A layer's error is mostly its own rounding if that alone gives less than this more SQNR."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer in depth order.

    Attributes:
        name: Node, or model input.
        format: What its result is stored in.
        sqnr_db: Against float; None where there is none.
        rounding_db: What rounding the float values alone would give; None for float32.
        reads: Positions of the layers it reads.
        reason: Why there is no SQNR.
    """

    name: str
    format: str
    sqnr_db: float | None
    rounding_db: float | None
    reads: tuple[int, ...]
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What was found.

    Attributes:
        falls: Per layer its fall in dB; None where it reads nothing with an error or has no SQNR.
        start: Position where the error starts to grow, or None.
        summary: The same in a sentence.
    """

    falls: tuple[float | None, ...]
    start: int | None
    summary: str


def error_growth(layers: Sequence[Layer]) -> Growth:
    """Find where the error starts to grow.

    Args:
        layers: In depth order; ``reads`` point backwards.
    """
    befores = [_before(layers, layer) for layer in layers]
    falls = tuple(_fall(layer, before) for layer, before in zip(layers, befores, strict=True))
    broken = next((n for n, layer in enumerate(layers) if layer.reason and "quantized" in layer.reason), None)
    if broken is not None:
        name = layers[broken].name
        return Growth(
            falls=falls, start=broken, summary=f"From {name} on values are not finite: {layers[broken].reason}."
        )
    known = [(layer.sqnr_db, n) for n, layer in enumerate(layers) if layer.sqnr_db is not None]
    if not known or min(known)[0] >= EXACT_DB:
        told = "No layer has an error." if known else "No layer has a ratio of signal to error."
        return Growth(falls=falls, start=None, summary=told)
    lowest, where = min(known)
    start = next((n for n in range(len(layers)) if _starts(layers[n], befores[n], lowest)), None)
    told = f"SQNR is lowest at {layers[where].name}, {lowest:.1f} dB. "
    return Growth(falls=falls, start=start, summary=told + _told(layers, start, befores))


def _before(layers: Sequence[Layer], layer: Layer) -> float | None:
    """Lowest SQNR among what a layer reads, of tensors that have an error."""
    found = [value for n in layer.reads if (value := layers[n].sqnr_db) is not None and value < EXACT_DB]
    return min(found, default=None)


def _fall(layer: Layer, before: float | None) -> float | None:
    return None if before is None or layer.sqnr_db is None else before - layer.sqnr_db


def _starts(layer: Layer, before: float | None, lowest: float) -> bool:
    if layer.sqnr_db is None or layer.sqnr_db >= EXACT_DB or layer.sqnr_db > lowest + NEAR_DB:
        return False
    return before is None or before - layer.sqnr_db >= FALL_DB


def _told(layers: Sequence[Layer], start: int | None, befores: Sequence[float | None]) -> str:
    if start is None:
        return f"No single layer loses {FALL_DB:.0f} dB on the way there: the error grows evenly."
    layer, before = layers[start], befores[start]
    come = "from what is exact" if before is None else f"from {before:.1f} dB"
    told = f"The error starts to grow at {layer.name}, {come} to {layer.sqnr_db:.1f} dB"
    own = layer.rounding_db
    if own is None or layer.sqnr_db is None:
        return told + "."
    if own < layer.sqnr_db + _OWN_DB:
        return f"{told}; rounding its result to {layer.format} explains it ({own:.1f} dB alone)."
    return f"{told}, more than rounding to {layer.format} explains ({own:.1f} dB alone): inputs and weights do."
