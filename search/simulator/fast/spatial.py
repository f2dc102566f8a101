"""Pooling, means and Resize."""

from __future__ import annotations

import string
from dataclasses import replace

import numpy as np

from search.simulator.fast.context import Context
from search.simulator.fast.convolution import Convolution
from search.simulator.fast.whole import EXACT_SINGLE, Whole, as_double
from search.simulator.program import Interpolate, MaxPool, Mean, Pick, Window

MOST_VALUES = 1 << 24
"""Taken for how many values a mean over whole axes has at most; the program does not tell."""


def write_max_pool(context: Context, step: MaxPool) -> None:
    """MaxPool of ``x'``."""
    window = step.window
    y = context.graph.add(
        "MaxPool",
        step.input,
        kernel_shape=list(window.kernel),
        strides=list(window.strides),
        pads=list(window.pads),
        dilations=list(window.dilations),
        ceil_mode=int(window.ceil_mode),
    )
    context.name(context.landed(Whole(y, context.whole(step.input).bound), step.rescale, step.output), step.output)


def write_mean(context: Context, step: Mean) -> None:
    """Exact sums, then one factor. Axes of size 1 come back last: element by element they are slow at the end."""
    graph, x = context.graph, context.whole(step.input)
    if step.window is not None:
        total = _window_sum(context, x, step.window)
        context.name(context.landed(total, step.rescale, step.output), step.output)
        return
    axes = graph.int64(list(step.axes))
    name = graph.add("ReduceSum", graph.doubled(x.name), axes, keepdims=0)
    y = context.landed(Whole(name, x.bound * MOST_VALUES, is_double=True), step.rescale, step.output)
    context.name(graph.add("Unsqueeze", y, axes) if step.keepdims else y, step.output)


def _window_sum(context: Context, x: Whole, window: Window) -> Whole:
    """Sums of windows: a convolution with ones over every channel by itself."""
    graph = context.graph
    rank = len(window.kernel)
    shape = graph.add("Shape", x.name)
    sizes = graph.add("Shape", x.name, start=2)
    alone = graph.add("Reshape", x.name, graph.add("Concat", graph.int64([-1, 1]), sizes, axis=0))
    ones = np.ones((1, 1, *window.kernel), np.int64)
    convolution = Convolution(graph, _reaching(window), is_transposed=False)
    total = convolution.sums(Whole(alone, x.bound), ones, None, x.bound * ones.size).whole
    name = total.name
    if window.ceil_mode:
        axes = graph.int64(list(range(2, 2 + rank)))
        name = graph.add("Slice", name, graph.int64([0] * rank), _places(context, sizes, window), axes)
    front = graph.add("Slice", shape, graph.int64([0]), graph.int64([2]))
    whole = graph.add("Concat", front, graph.add("Shape", name, start=2), axis=0)
    return Whole(graph.add("Reshape", name, whole), total.bound, is_double=total.is_double)


def _reaching(window: Window) -> Window:
    """The window with the end padding that ceil mode may need; group 1."""
    if not window.ceil_mode:
        return replace(window, group=1)
    rank = len(window.kernel)
    ends = tuple(window.pads[rank + i] + window.strides[i] - 1 for i in range(rank))
    return replace(window, group=1, pads=(*window.pads[:rank], *ends), ceil_mode=False)


def _places(context: Context, sizes: str, window: Window) -> str:
    """How many places each axis has in ceil mode: none of them starts behind the input and its begin padding."""
    graph = context.graph
    rank = len(window.kernel)
    begins, ends = np.array(window.pads[:rank]), np.array(window.pads[rank:])
    strides = np.array(window.strides)
    reach = (np.array(window.kernel) - 1) * np.array(window.dilations) + 1
    stride, one = graph.int64(strides), graph.int64(1)
    room = graph.add("Add", sizes, graph.int64(begins + ends - reach + strides - 1))
    whole = graph.add("Div", room, stride)
    inside = graph.add("Div", graph.add("Add", sizes, graph.int64(begins + strides - 1)), stride)
    return graph.add("Min", graph.add("Add", whole, one), inside)


def write_interpolate(context: Context, step: Interpolate) -> None:
    """One matrix per axis, in float32 where the sums stay exact."""
    graph, v = context.graph, context.whole(step.input)
    for axis, matrix in step.matrices.items():
        bound = v.bound * int(np.abs(matrix).sum(axis=1).max(initial=0))
        is_double = v.is_double or bound > EXACT_SINGLE
        name = as_double(graph, v).name if is_double else v.name
        front = string.ascii_lowercase[:axis]
        weights = graph.constant(matrix, np.float64 if is_double else np.float32)
        v = Whole(
            graph.add("Einsum", name, weights, equation=f"{front}y...,zy->{front}z..."), bound, is_double=is_double
        )
    context.name(context.landed(v, step.rescale, step.output), step.output)


def write_pick(context: Context, step: Pick) -> None:
    """Values at the indices of each axis."""
    graph, x = context.graph, context.whole(step.input)
    name = x.name
    for axis, index in step.indices.items():
        name = graph.add("Gather", name, graph.int64(index), axis=axis)
    context.name(context.landed(Whole(name, x.bound), step.rescale, step.output), step.output)
