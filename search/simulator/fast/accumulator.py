"""What is added to a sum of products, and what happens where it leaves the width of the accumulator.

Where ``sum |w| * max |x| + |bias| + |summed input|`` stays below the width, nothing can happen and nothing is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from search.simulator.fast.context import Context, Watched
from search.simulator.fast.convolution import added
from search.simulator.fast.requantize import Requantizer
from search.simulator.fast.whole import EXACT_DOUBLE, EXACT_SINGLE, Whole, as_double
from search.simulator.program import Gemm
from search.simulator.rescale import Int64Array


@dataclass(frozen=True, eq=False)
class Completed:
    """An accumulator, and what of the bias is still to be added."""

    whole: Whole
    waiting: Int64Array | None = None


@dataclass(frozen=True)
class Accumulator:
    """The accumulator of one gemm.

    Attributes:
        context: Where operators are appended.
        step: The gemm.
        requantizer: That of the gemm, which knows where its channels are.
    """

    context: Context
    step: Gemm
    requantizer: Requantizer

    def needs_care(self, bound: int, bias: Int64Array | None, preload: Whole | None) -> bool:
        """Whether the accumulator can leave its width."""
        return self._total(bound, bias, preload) >= 1 << (self.step.acc_bits - 1)

    def completed(self, sums: Whole, bias: Int64Array | None, preload: Whole | None) -> Completed:
        """Add bias and summed input, watched or held in the width where it matters.

        The bias waits where nothing else is to be done: the requantizer may add it on its way.
        """
        if self._total(sums.bound, bias, preload) > EXACT_DOUBLE:
            raise ValueError(f"{self.step.name}: sums up to 2**53 and more are not exact in float64.")
        needs_care = self.needs_care(sums.bound, bias, preload)
        if not needs_care and not self.step.lift:
            acc = sums if preload is None else added(self.context.graph, sums, preload)
            return Completed(acc, bias)
        watches = needs_care and self.step.overflow == "error"
        acc = self._watched(sums) if watches else sums
        if bias is not None:
            acc = self.biased(acc, bias)
            acc = self._watched(acc) if watches else acc
        if self.step.lift:
            acc = self._lifted(acc)
            acc = self._watched(acc) if watches else acc
        if preload is not None:
            acc = added(self.context.graph, acc, preload)
            acc = self._watched(acc) if watches else acc
        return Completed(self._held(acc) if needs_care and not watches else acc)

    def _total(self, bound: int, bias: Int64Array | None, preload: Whole | None) -> int:
        size = 0 if bias is None else int(np.abs(bias).max(initial=0))
        return ((bound + size) << self.step.lift) + (0 if preload is None else preload.bound)

    def _lifted(self, acc: Whole) -> Whole:
        """Shift left: exact in float32 as long as the result is."""
        graph, bound = self.context.graph, acc.bound << self.step.lift
        if not acc.is_double and bound <= EXACT_SINGLE:
            factor = graph.constant(np.asarray(1 << self.step.lift), np.float32)
            return Whole(graph.add("Mul", acc.name, factor), bound)
        factor = graph.float64(float(1 << self.step.lift))
        return Whole(graph.add("Mul", as_double(graph, acc).name, factor), bound, is_double=True)

    def biased(self, acc: Whole, bias: Int64Array) -> Whole:
        """Add the bias."""
        bound = acc.bound + int(np.abs(bias).max(initial=0))
        if not acc.is_double and bound <= EXACT_SINGLE:
            added_bias = self.requantizer.constant(bias, np.float32)
            return Whole(self.context.graph.add("Add", acc.name, added_bias), bound)
        return self.requantizer.biased(acc, bias)

    def _watched(self, acc: Whole) -> Whole:
        """Hand out the largest absolute value."""
        graph, step = self.context.graph, self.step
        largest = graph.add("ReduceMax", graph.add("Abs", acc.name), keepdims=0)
        largest = graph.cast(largest, TensorProto.DOUBLE)
        self.context.watched.append(Watched(output=largest, node=step.name, bits=step.acc_bits))
        return acc

    def _held(self, acc: Whole) -> Whole:
        """Wrap or saturate; the bound is the width."""
        graph, limit = self.context.graph, 1 << (self.step.acc_bits - 1)
        wide = as_double(graph, acc).name
        if self.step.overflow == "saturate":
            held = graph.add("Clip", wide, graph.float64(-limit), graph.float64(limit - 1))
            return Whole(held, limit, is_double=True)
        turns = graph.add("Mul", graph.add("Add", wide, graph.float64(limit)), graph.float64(0.5 / limit))
        turns = graph.add("Mul", graph.add("Floor", turns), graph.float64(2.0 * limit))
        return Whole(graph.add("Sub", wide, turns), limit, is_double=True)
