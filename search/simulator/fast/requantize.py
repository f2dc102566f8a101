"""``clamp(round_shift(v * m, q))`` on float tensors, exact; the fastest form that is proved for the values at hand.

- *One float32 factor* and QuantizeLinear, where ``single`` proves it for every integer that can come in.
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

from search.arrays import Array
from search.simulator.fast.graph import Graph, Laying
from search.simulator.fast.single import Span, divisors, is_cut_right, multipliers, only_one
from search.simulator.fast.whole import EXACT_DOUBLE, EXACT_SINGLE, Landing, Whole, as_double
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

    def land(
        self,
        v: Whole,
        rescale: Rescale,
        to: Landing,
        *,
        caps: Int64Array | None = None,
        least: int | None = None,
        bias: Int64Array | None = None,
    ) -> str:
        """Return float32 ``clamp(rs(v + bias), low, high)``, without zero point.

        Args:
            v: What comes in.
            rescale: Factors.
            to: Where it goes.
            caps: A highest result per channel; ``to.high`` is then the largest of them.
            least: Smallest ``v``, where more is known than its bound.
            bias: Added on the way, ``[]`` or per channel; only where ``takes_bias`` says so.
        """
        factors = only_one(rescale)
        has_room = caps is None or (self.channel_axis == 1 and int(caps.min()) >= to.low)
        is_exact = caps is None or _is_exact(v.bound, factors)
        if has_room and is_exact and (bias is not None or self._is_cast(v, factors, to)):
            return self._land_by_cast(as_double(self.graph, v), factors, to, bias, caps)
        y = None if v.is_double else self._land_single(v, factors, to, -v.bound if least is None else least)
        if y is None:
            y = self._land_double(v, factors, to) if bias is None else self._land_by_cast(v, factors, to, bias, None)
        return y if caps is None else self.graph.add("Min", y, self.constant(caps, np.float32))

    def _is_cast(self, v: Whole, rescale: Rescale, to: Landing) -> bool:
        """Whether a float64 value goes over a cast."""
        if not v.is_double or self.rounding != "half_up" or not _is_castable(v.bound, rescale):
            return False
        if _is_exact(v.bound, rescale):
            return True
        if v.bound * int(rescale.multiplier.max()) >= EXACT_DOUBLE:
            return False
        m, q = rescale.multiplier.ravel(), rescale.shift.ravel()
        wide = q > SAFE_SHIFT  # channels that are nearly dead: few steps, if any
        return is_cut_right(Rescale(m[wide], q[wide]), Span(-v.bound, v.bound, to.low, to.high), _offset(to))

    def takes_bias(self, v: Whole, rescale: Rescale, bias: Int64Array) -> bool:
        """Whether ``v*c + bias*c`` is exact in float64, so that the bias costs nothing."""
        factors = only_one(rescale)
        bound = v.bound + int(np.abs(bias).max(initial=0))
        is_fit = v.is_double and self.channel_axis == 1 and bias.ndim <= 1 and self.rounding == "half_up"
        return is_fit and _is_all_exact(bound, factors) and _is_castable(bound, factors)

    def integer(self, v: Whole, rescale: Rescale) -> Whole:
        """Return ``rs(v)`` itself, not clamped; a left shift is allowed.

        ``half_up(u) = rne(u + e)`` with half a unit of ``u``'s last place: one bit more, and no tie is left.
        """
        factors = only_one(rescale)
        m, q = factors.multiplier, factors.shift
        bound = max(_rounded_up(v.bound * int(a), int(s)) for a, s in zip(m.ravel(), q.ravel(), strict=True))
        bits = 2 * v.bound * int(m.max(initial=0)) + 1
        e = np.where(q > 0, np.ldexp(1.0, -(q + 1).astype(np.int32)), 0.0) * (self.rounding == "half_up")
        c = _factor(factors)
        if not v.is_double and bits <= EXACT_SINGLE and bound < 1 << 22 and self.rounding != "half_away":
            u = self._affine(v.name, c, e, np.float32)
            return Whole(u if np.all(q <= 0) else self._to_even(u, np.float32), bound)
        if 2 * bits >= EXACT_DOUBLE:
            raise ValueError("A summed input is too wide to be rescaled in float64.")
        u = self._affine(as_double(self.graph, v).name, c, e, np.float64)
        if np.all(q <= 0):
            return Whole(u, bound, is_double=True)
        rounded = self._rounded(u) if self.rounding == "half_away" else self._to_even(u, np.float64)
        return Whole(rounded, bound, is_double=True)

    def constant(self, values: Array, dtype: npt.DTypeLike) -> str:
        """A constant in the shape of the factors, laid along the tensor's channels."""
        return self.lay(values, dtype)

    def round_exact(self, name: str, to: Landing) -> str:
        """Return float32 ``clamp(round(u))`` of an exact float64 ``u``."""
        return self._clamped_double(self._rounded(name), to)

    def _land_single(self, v: Whole, rescale: Rescale, to: Landing, least: int) -> str | None:
        span = Span(least, v.bound, to.low, to.high)
        if rescale.multiplier.ndim == 0:
            s = divisors(rescale, span, self.rounding)
            return None if s is None else self.quantized(v.name, s, to, least=least)
        c = multipliers(rescale, span, self.rounding)
        if c is None:
            return None
        return self.quantized(self._affine(v.name, c, np.zeros(()), np.float32), 1.0, to, least=least)

    def quantized(self, name: str, scale: npt.ArrayLike, to: Landing, *, least: int = -1) -> str:
        """``clamp(rne(x / scale))``: QuantizeLinear, back in float without the zero point, then tighter bounds.

        One scale for all: QuantizeLinear is slow where it has one per channel and few values in each.
        """
        graph, grid = self.graph, to.grid
        zero = graph.constant(grid.zero_point, grid.dtype)
        x = graph.single(graph.add("QuantizeLinear", name, graph.float32(scale), zero))
        if grid.zero_point:
            x = graph.add("Sub", x, graph.float32(grid.zero_point))
        is_low = least >= 0 >= to.low or to.low == grid.qmin - grid.zero_point
        if is_low and to.high == grid.qmax - grid.zero_point:
            return x
        return graph.add("Clip", x, graph.float32(to.low), graph.float32(to.high))

    def _land_double(self, v: Whole, rescale: Rescale, to: Landing) -> str:
        wide = as_double(self.graph, v)
        if self._is_cast(wide, rescale, to):
            return self._land_by_cast(wide, rescale, to, None, None)
        if not _is_exact(v.bound, rescale):
            return self._land_pieces(wide, rescale, to)
        scaled = self._affine(wide.name, _factor(rescale), np.zeros(()), np.float64)
        return self._clamped_double(self._rounded(scaled), to)

    def _land_by_cast(
        self, v: Whole, rescale: Rescale, to: Landing, bias: Int64Array | None, caps: Int64Array | None
    ) -> str:
        """``trunc(v*c + 1/2 + offset) - offset``: a cast to int32 cuts towards zero, which is floor above zero.

        With caps every channel is shifted so that its cap is the same number, and back behind the clamp.
        """
        graph = self.graph
        offset = np.asarray(_offset(to)) + (0 if caps is None else to.high - caps)
        c = _factor(rescale)
        moved = self._affine(v.name, c, (0 if bias is None else bias * c) + (offset + 0.5), np.float64)
        cut = graph.single(graph.cast(moved, TensorProto.INT32))
        if caps is not None:
            end = graph.float32(to.high + _offset(to))
            cut = graph.add("Clip", cut, graph.float32(-float(1 << 31)), end)
            cut = self._affine(cut, np.ones(()), -offset, np.float32)
        elif offset:
            cut = graph.add("Sub", cut, graph.float32(offset))
        return graph.add("Clip", cut, graph.float32(to.low), graph.float32(to.high))

    def biased(self, v: Whole, bias: Int64Array) -> Whole:
        """``v + bias`` in float64."""
        name = self._affine(as_double(self.graph, v).name, np.ones(()), bias, np.float64)
        return Whole(name, v.bound + int(np.abs(bias).max(initial=0)), is_double=True)

    def _affine(self, name: str, c: Array, b: Array, dtype: npt.DTypeLike) -> str:
        """``v * c + b``; along axis 1 in one pass: mean 0, variance 1 and epsilon 0 change nothing."""
        graph, shape = self.graph, np.broadcast_shapes(np.shape(c), np.shape(b))
        if len(shape) == 1 and self.channel_axis == 1:
            factors, added = (graph.constant(np.broadcast_to(values, shape), dtype) for values in (c, b))
            zeros, ones = graph.constant(np.zeros(shape), dtype), graph.constant(np.ones(shape), dtype)
            return graph.add("BatchNormalization", name, factors, added, zeros, ones, epsilon=0.0)
        scaled = graph.add("Mul", name, self.constant(c, dtype)) if np.any(c != 1) else name
        return graph.add("Add", scaled, self.constant(b, dtype)) if np.any(b) else scaled

    def _to_even(self, name: str, dtype: npt.DTypeLike) -> str:
        """``rne``: a number is added at which the ulp is 1; for values below ``2**22``, or ``2**51`` in float64."""
        magic = self.graph.constant(_MAGIC_SINGLE if dtype is np.float32 else _MAGIC, dtype)
        return self.graph.add("Sub", self.graph.add("Add", name, magic), magic)

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
                return self._to_even(name, np.float64)
            case "half_away":
                size = graph.add("Floor", graph.add("Add", graph.add("Abs", name), graph.float64(0.5)))
                return graph.add("Mul", size, graph.add("Sign", name))

    def _clamped_double(self, name: str, to: Landing) -> str:
        """Back to float32, over int32 so that no negative zero comes through."""
        graph = self.graph
        held = graph.add("Clip", name, graph.float64(to.low), graph.float64(to.high))
        return graph.single(graph.cast(held, TensorProto.INT32))


def _offset(to: Landing) -> int:
    """Not needed where results below zero are clamped to zero anyway."""
    return 0 if to.low >= 0 else BEYOND


def _factor(rescale: Rescale) -> DoubleArray:
    """``m * 2**-q``, exact."""
    return np.asarray(np.ldexp(rescale.multiplier.astype(np.float64), -rescale.shift.astype(np.int32)))


def _is_exact(bound: int, rescale: Rescale) -> bool:
    """Whether ``v * m * 2**-q + 1/2 + offset`` is exact, or saturates."""
    return int(rescale.shift.max(initial=0)) <= SAFE_SHIFT or _is_all_exact(bound, rescale)


def _is_all_exact(bound: int, rescale: Rescale) -> bool:
    """Whether it is exact for every ``v`` up to the bound."""
    pairs = zip(rescale.multiplier.ravel(), rescale.shift.ravel(), strict=True)
    return all(bound * int(a) + ((2 * BEYOND + 1) << max(int(s), 0)) < EXACT_DOUBLE for a, s in pairs)


def _is_castable(bound: int, rescale: Rescale) -> bool:
    """Whether all results, the offset included, are int32."""
    return bound * float(_factor(rescale).max(initial=0.0)) + 2 * BEYOND + 1 < INT32_END


def _rounded_up(v: int, q: int) -> int:
    """``v * 2**-q`` rounded up."""
    return -((-v) >> q) if q > 0 else v << -q
