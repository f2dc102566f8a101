"""Steps over windows and resized axes: pooling, means, Resize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.simulator.rescale import Int64Array, Rescale
from search.simulator.steps.base import Step, Window


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Step):
    """Largest integer of each window; padding never wins. Then ``sat(rs(x', r))`` where the grids differ.

    ``rescale`` is None where they are equal.
    """

    input: str
    window: Window
    rescale: Rescale | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Mean(Step):
    """Means: ``sat(rs(sum x', r))``; the count is inside the factor.

    ``window`` None: over ``axes`` (kept or not, ``keepdims``). Else over windows, and ``rescale`` has one factor per
    output position (arrays of the spatial output shape) where border windows count fewer values.
    """

    input: str
    axes: tuple[int, ...]
    keepdims: bool
    window: Window | None
    rescale: Rescale


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolate(Step):
    """Linear Resize and CumSum: ``sat(rs(v, r))``, ``v`` = ``x'`` contracted with one matrix per axis.

    Matrices are int64 ``[out, in]``: those of a Resize in Q10, rows sum to 1024; that of a CumSum has ones and zeros.
    """

    input: str
    matrices: Mapping[int, Int64Array]
    rescale: Rescale


@dataclass(frozen=True, kw_only=True, eq=False)
class Pick(Step):
    """Resize to the nearest value: indices per axis, then ``sat(rs(x', r))`` where the grids differ."""

    input: str
    indices: Mapping[int, Int64Array]
    rescale: Rescale | None = None
