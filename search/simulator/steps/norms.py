"""Steps that compare or normalise values along axes, int16 inside."""

from __future__ import annotations

from dataclasses import dataclass

from search.simulator.rescale import Int64Array, Rescale
from search.simulator.steps.base import Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Softmax(Step):
    """``d = x - max(x)`` along ``axis``; ``e`` = table of ``exp`` in Q15 at ``-d``; then a division.

    ``p = floor((e * 2**15 + S//2) / S)``, ``S = sum e``; ``sat(rs(p, r))``. The table is read as in ``Table`` with
    ``i = -d`` (entries fall), result ``round_shift(v, segment_bits)``.
    """

    input: str
    axis: int
    entries: Int64Array
    segment_bits: int
    rescale: Rescale


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerNorm(Step):
    """Normalisation over the last axes from ``axis`` on, int16 inside; ``n`` values each, ``S = sum x'``.

    ``mean = 0`` where it is not ``centred`` (RMSNorm), else
    ``mean = floor((S * 2**F + n // 2) / n)``; ``d = x' * 2**F - mean``; ``V = floor(sum d*d / n) + epsilon``;
    ``sigma = max(1, isqrt(V))``; ``z = clamp(floor((2 * d * 2**K + sigma) / (2 * sigma)), -2**15, 2**15 - 1)``;
    ``y = sat(round_shift(z * gamma * multiplier + beta, shift))`` with ``multiplier, shift`` = ``rescale``.

    Attributes:
        gamma: int64 that broadcasts against the input, or ``[]`` 1.
        beta: int64, already at ``2**shift``, that broadcasts against the input, or ``[]`` 0.
        epsilon: In units of ``(scale * 2**-F)**2``.
        fraction: F.
        result_bits: K.
        centred: Whether the mean is taken off.
    """

    input: str
    axis: int
    gamma: Int64Array
    beta: Int64Array
    epsilon: int
    fraction: int
    result_bits: int
    rescale: Rescale
    centred: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class EuclideanNorm(Step):
    """Lengths: ``sat(rs(isqrt(sum x'^2 * 2**(2 * F)), r))`` over ``axes`` (kept or not, ``keepdims``).

    Attributes:
        fraction: F; ``sum x'^2 * 2**(2 * F)`` stays below ``2**52``.
    """

    input: str
    axes: tuple[int, ...]
    keepdims: bool
    fraction: int
    rescale: Rescale
