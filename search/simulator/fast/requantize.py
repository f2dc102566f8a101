"""``clamp(round_shift(v * m, q))`` on float tensors, exact; the fastest form that is proved for the values at hand.

- *One division*: ``QuantizeLinear(v, s)`` in float32, where ``single`` proves it for every integer that can come in.
- *float64*: ``v * (m * 2**-q)``. The factor is exact (a power of two times at most 24 bits). The product and the sum
  with one half are exact while ``|v| * m + 2**q * (2**18 + 1) < 2**53``; and they need not be exact where
  ``|v * m * 2**-q|`` passes ``2**17``, because the result is then beyond every grid and rounding does not turn orders
  around. So ``q <= 34`` is enough whatever ``v`` is.
- *Two pieces*: for larger ``q``, ``v = H * 2**k + L`` and ``floor((v*m + 2**(q-1)) / 2**q) =
  floor((H*m + floor(L*m / 2**k) + 2**(q-k-1)) / 2**(q-k))``, each product below ``2**53``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from search.simulator.fast.graph import Array, Graph, Laying
from search.simulator.fast.single import Span, divisors, multipliers
from search.simulator.fast.whole import EXACT_DOUBLE, Landing, Whole, as_double
from search.simulator.rescale import Int64Array, Rescale, Rounding

DoubleArray = npt.NDArray[np.float64]

BEYOND = 1 << 17
"""No grid has an integer as large."""

SAFE_SHIFT = 34
"""Up to this shift all that does not saturate is exact in float64: ``2**18`` has 18 bits more."""

INT32_END = 2**31 - 2
_MAGIC = 1.5 * 2.0**52  # the ulp of float64 there is 1: adding it rounds to an integer, ties to even
_MAGIC_SINGLE = 1.5 * 2.0**23


@dataclass(frozen=True)
class Requantizer:
    """How factors meet a tensor.

    Attributes:
        graph: Where operators are appended.
        rounding: Of the chip.
        lay: Makes a constant of values per channel that broadcasts against the tensor.
        channel_axis: 1 where factors per channel belong to axis 1, which some operators take as they are; else None.
    """

    graph: Graph
    rounding: Rounding
    lay: Laying
    channel_axis: int | None = None

    def land(self, v: Whole, rescale: Rescale, to: Landing, *, least: int | None = None) -> str:
        """Return float32 ``clamp(rs(v), low, high)``, without zero point.

        Args:
            v: What comes in.
            rescale: Factors.
            to: Where it goes.
            least: Smallest ``v``, where more is known than its bound.
        """
        found = None if v.is_double else self._land_single(v, rescale, to, -v.bound if least is None else least)
        return self._land_double(v, rescale, to) if found is None else found

    def integer(self, v: Whole, rescale: Rescale) -> Whole:
        """Return ``rs(v)`` itself, not clamped; a left shift is allowed."""
        m, q = rescale.multiplier, rescale.shift
        bound = max(_rounded_up(v.bound * int(a), int(s)) for a, s in zip(m.ravel(), q.ravel(), strict=True))
        if not v.is_double and bound < 1 << 22:
            span = Span(-v.bound, v.bound, -(1 << 22), 1 << 22)
            c = multipliers(rescale, span, self.rounding)
            if c is not None:
                return Whole(self._rounded_single(self._scaled(v.name, c)), bound)
        if v.bound * int(m.max(initial=0)) >= EXACT_DOUBLE // 4:
            raise ValueError("A summed input is too wide to be rescaled in float64.")
        u = self._scaled_double(as_double(self.graph, v), rescale)
        return Whole(u if np.all(q <= 0) else self._rounded(u), bound, is_double=True)

    def constant(self, values: Array, dtype: npt.DTypeLike) -> str:
        """A constant in the shape of the factors, laid along the tensor's channels."""
        return self.lay(values, dtype)

    def round_exact(self, name: str, to: Landing) -> str:
        """Return float32 ``clamp(round(u))`` of an exact float64 ``u``."""
        return self._clamped_double(self._rounded(name), to)

    def _land_single(self, v: Whole, rescale: Rescale, to: Landing, least: int) -> str | None:
        span = Span(least, v.bound, to.low, to.high)
        takes_channels = rescale.multiplier.ndim == 0 or (rescale.multiplier.ndim == 1 and self.channel_axis == 1)
        if takes_channels:
            s = divisors(rescale, span, self.rounding)
            return None if s is None else self.quantized(v.name, s, to)
        c = multipliers(rescale, span, self.rounding)
        return None if c is None else self.quantized(self._scaled(v.name, c), np.float32(1), to)

    def _scaled(self, name: str, c: npt.NDArray[np.float32]) -> str:
        return self.graph.add("Mul", name, self.constant(c, np.float32))

    def quantized(self, name: str, scale: npt.ArrayLike, to: Landing) -> str:
        """``clamp(rne(x / scale))``: QuantizeLinear, back in float without the zero point, then tighter bounds."""
        graph, grid = self.graph, to.grid
        s = np.asarray(scale, np.float32)
        zero = graph.constant(np.full(s.shape, grid.zero_point), grid.dtype)
        x = graph.single(graph.add("QuantizeLinear", name, graph.float32(s), zero, axis=1))  # a single s has no axis
        if grid.zero_point:
            x = graph.add("Sub", x, graph.float32(grid.zero_point))
        if (to.low, to.high) == (grid.qmin - grid.zero_point, grid.qmax - grid.zero_point):
            return x
        return graph.add("Clip", x, graph.float32(to.low), graph.float32(to.high))

    def _land_double(self, v: Whole, rescale: Rescale, to: Landing) -> str:
        m, q = rescale.multiplier, rescale.shift
        wide = as_double(self.graph, v)
        if not _is_exact(v.bound, m, q):
            return self._land_pieces(wide, rescale, to)
        largest = v.bound * float(np.ldexp(m.astype(np.float64), -q.astype(np.int32)).max(initial=0.0))
        if self.rounding == "half_up" and largest + BEYOND + 1 < INT32_END:
            return self._land_by_cast(wide, rescale, to)
        return self._clamped_double(self._rounded(self._scaled_double(wide, rescale)), to)

    def _land_by_cast(self, v: Whole, rescale: Rescale, to: Landing) -> str:
        """``trunc(v*c + 1/2 + offset) - offset``: a cast to int32 cuts towards zero, which is floor above zero.

        The offset is not needed where results below zero are clamped to zero anyway.
        """
        graph = self.graph
        offset = 0 if to.low >= 0 else BEYOND
        c = np.ldexp(rescale.multiplier.astype(np.float64), -rescale.shift.astype(np.int32))
        if c.ndim == 1 and self.channel_axis == 1:
            moved = self._per_channel(v.name, c, np.full(c.shape, offset + 0.5))
        else:
            moved = graph.add("Mul", v.name, self.constant(c, np.float64))
            moved = graph.add("Add", moved, graph.float64(offset + 0.5))
        cut = graph.single(graph.cast(moved, TensorProto.INT32))
        if offset:
            cut = graph.add("Sub", cut, graph.float32(offset))
        return graph.add("Clip", cut, graph.float32(to.low), graph.float32(to.high))

    def _per_channel(self, name: str, c: DoubleArray, b: DoubleArray) -> str:
        """``v * c + b`` along axis 1 in one pass; mean 0, variance 1 and epsilon 0 change nothing."""
        graph = self.graph
        zeros, ones = graph.float64(np.zeros(c.shape)), graph.float64(np.ones(c.shape))
        return graph.add("BatchNormalization", name, graph.float64(c), graph.float64(b), zeros, ones, epsilon=0.0)

    def _scaled_double(self, v: Whole, rescale: Rescale) -> str:
        c = np.ldexp(rescale.multiplier.astype(np.float64), -rescale.shift.astype(np.int32))
        return self.graph.add("Mul", v.name, self.constant(c, np.float64))

    def _land_pieces(self, v: Whole, rescale: Rescale, to: Landing) -> str:
        """For shifts above ``SAFE_SHIFT``; what saturates is cut first, so that small shifts in between stay exact."""
        graph = self.graph
        m, q = rescale.multiplier, rescale.shift
        k = np.clip(q - 1, 0, 20)
        end = np.ldexp(float(BEYOND) / np.maximum(m, 1), q.astype(np.int32))
        end = np.minimum(np.ceil(end), 2.0**47)
        x = graph.add("Max", v.name, self.constant(-end, np.float64))
        x = graph.add("Min", x, self.constant(end, np.float64))
        unit = self.constant(np.ldexp(1.0, k.astype(np.int32)), np.float64)
        inverse = self.constant(np.ldexp(1.0, -k.astype(np.int32)), np.float64)
        factor = self.constant(m, np.float64)
        high = graph.add("Floor", graph.add("Mul", x, inverse))
        low = graph.add("Sub", x, graph.add("Mul", high, unit))
        low = graph.add("Mul", graph.add("Mul", low, factor), inverse)
        whole = graph.add("Floor", low)
        total = graph.add("Add", graph.add("Mul", high, factor), whole)
        if self.rounding != "half_up":
            # What is cut off can only break ties: a quarter says that something is left.
            left = graph.cast(graph.add("Greater", low, whole), TensorProto.DOUBLE)
            total = graph.add("Add", total, graph.add("Mul", left, graph.float64(0.25)))
        last = np.ldexp(1.0, -(q - k).astype(np.int32))
        return self._clamped_double(self._rounded(graph.add("Mul", total, self.constant(last, np.float64))), to)

    def _rounded(self, name: str) -> str:
        """Round float64 values below ``2**51`` that have the bits to add one half exactly."""
        graph = self.graph
        match self.rounding:
            case "half_up":
                return graph.add("Floor", graph.add("Add", name, graph.float64(0.5)))
            case "half_even":
                return graph.add("Sub", graph.add("Add", name, graph.float64(_MAGIC)), graph.float64(_MAGIC))
            case "half_away":
                size = graph.add("Floor", graph.add("Add", graph.add("Abs", name), graph.float64(0.5)))
                return graph.add("Mul", size, graph.add("Sign", name))

    def _rounded_single(self, name: str) -> str:
        """``rne`` of float32 values below ``2**22``."""
        magic = self.graph.float32(_MAGIC_SINGLE)
        return self.graph.add("Sub", self.graph.add("Add", name, magic), magic)

    def _clamped_double(self, name: str, to: Landing) -> str:
        """Back to float32, over int32 so that no negative zero comes through."""
        graph = self.graph
        held = graph.add("Clip", name, graph.float64(to.low), graph.float64(to.high))
        return graph.single(graph.cast(held, TensorProto.INT32))


def _is_exact(bound: int, m: Int64Array, q: Int64Array) -> bool:
    """Whether ``v * m * 2**-q + 1/2 + offset`` is exact, or saturates."""
    if int(q.max(initial=0)) <= SAFE_SHIFT:
        return True
    pairs = zip(m.ravel(), q.ravel(), strict=True)
    return all(bound * int(a) + ((2 * BEYOND + 1) << max(int(s), 0)) < EXACT_DOUBLE for a, s in pairs)


def _rounded_up(v: int, q: int) -> int:
    """``v * 2**-q`` rounded up."""
    return -((-v) >> q) if q > 0 else v << -q
