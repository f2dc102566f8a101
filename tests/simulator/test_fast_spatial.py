"""Windows, means, Resize, norms and movement: the fast way against the reference, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from fast_equal import ROUNDINGS, check, grids, integers, rescales, signed
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from search.quant.grid import Grid
from search.simulator.making.factors import result_rescale
from search.simulator.making.norms import layer_norm_constants, root_fraction, softmax_tables
from search.simulator.program import (
    Concat,
    EuclideanNorm,
    Fixed,
    Interpolate,
    LayerNorm,
    Lookup,
    MaxPool,
    Mean,
    Move,
    PadWith,
    Pick,
    Rescale,
    Softmax,
    Widths,
    Window,
)

FEW = settings(max_examples=50, deadline=None)
WIDTHS = Widths(multiplier_bits=15, shift_min=0, shift_max=47)
roundings = st.sampled_from(ROUNDINGS)


@st.composite
def windows(draw: st.DrawFn, rank: int) -> Window:
    kernel = draw(st.tuples(*[st.integers(1, 4)] * rank))
    pads = tuple(draw(st.integers(0, k - 1)) for k in (*kernel, *kernel))
    return Window(
        kernel=kernel,
        strides=draw(st.tuples(*[st.integers(1, 3)] * rank)),
        pads=pads,
        dilations=(1,) * rank,
        ceil_mode=draw(st.booleans()),
    )


@FEW
@given(st.data())
def test_pools_are_equal(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    grid, to, window = data.draw(grids()), data.draw(grids()), data.draw(windows(rank))
    shape = (2, 3, *data.draw(st.tuples(*[st.integers(4, 9)] * rank)))
    largest = float(np.prod(window.kernel)) * 2.0**grid.bits
    if data.draw(st.booleans()):
        is_same = data.draw(st.booleans())
        rescale = None if is_same else data.draw(rescales(2.0**grid.bits, to))
        step: Any = MaxPool(name="node", output="y", input="x", window=window, rescale=rescale)
        to = grid if is_same else to
    else:
        step = Mean(
            name="node",
            output="y",
            input="x",
            axes=(),
            keepdims=True,
            window=window,
            rescale=data.draw(rescales(largest, to)),
        )
    fed = {"x": data.draw(integers(grid, shape))}
    check([step], {"x": grid, "y": to}, fed, rounding=data.draw(roundings))


def test_a_mean_with_one_factor_per_position_is_equal() -> None:
    rng = np.random.default_rng(0)
    window = Window((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    for bits in (8, 16):
        rescale = rng.integers(1 << 14, 1 << 15, (4, 5)), rng.integers(15, 19, (4, 5))
        step = Mean(
            name="node", output="y", input="x", axes=(), keepdims=True, window=window, rescale=Rescale(*rescale)
        )
        x = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, 3, 8, 9))
        check([step], {"x": signed(bits), "y": signed(bits)}, {"x": x})


@FEW
@given(st.data())
def test_means_over_axes_are_equal(data: st.DataObject) -> None:
    grid, to = data.draw(grids()), data.draw(grids())
    step = Mean(
        name="node",
        output="y",
        input="x",
        axes=data.draw(st.sampled_from([(2, 3), (-1,), (1,), (0, 1, 2, 3)])),
        keepdims=data.draw(st.booleans()),
        window=None,
        rescale=data.draw(rescales(30 * 2.0**grid.bits, to)),
    )
    fed = {"x": data.draw(integers(grid, (2, 3, 5, 6)))}
    check([step], {"x": grid, "y": to}, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_resizes_are_equal(data: st.DataObject) -> None:
    grid, to = data.draw(grids()), data.draw(grids())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sizes = {2: (4, 7), 3: (5, 3)}
    axes = data.draw(st.sampled_from([(2,), (3,), (2, 3)]))
    if data.draw(st.booleans()):
        matrices = {}
        for axis in axes:
            left = rng.integers(0, 1025, sizes[axis][1])
            matrix = np.zeros((sizes[axis][1], sizes[axis][0]), np.int64)
            matrix[np.arange(len(left)), rng.integers(0, sizes[axis][0], len(left))] += left
            matrix[np.arange(len(left)), rng.integers(0, sizes[axis][0], len(left))] += 1024 - left
            matrices[axis] = matrix
        largest = 2.0**grid.bits * 1024.0 ** len(axes)
        step: Any = Interpolate(
            name="node", output="y", input="x", matrices=matrices, rescale=data.draw(rescales(largest, to))
        )
    else:
        indices = {axis: rng.integers(0, sizes[axis][0], sizes[axis][1]) for axis in axes}
        step = Pick(
            name="node", output="y", input="x", indices=indices, rescale=data.draw(rescales(2.0**grid.bits, to))
        )
    fed = {"x": data.draw(integers(grid, (2, 3, 4, 5)))}
    check([step], {"x": grid, "y": to}, fed, rounding=data.draw(roundings))


def real(bits: int, scale: float) -> Grid:
    return Grid(scale=float(np.float32(scale)), zero_point=0, bits=bits, signed=True)


@FEW
@given(st.data())
def test_softmax_is_equal(data: st.DataObject) -> None:
    bits = data.draw(st.sampled_from([8, 16]))
    grid = real(bits, data.draw(st.sampled_from([2.0**-12, 0.001, 0.05, 0.7])))
    to = real(data.draw(st.sampled_from([8, 16])), 2.0 ** data.draw(st.integers(-16, -6)))
    made = softmax_tables(grid, to, WIDTHS, node="node")
    step = Softmax(
        name="node",
        output="y",
        input="x",
        axis=data.draw(st.sampled_from([-1, 1])),
        entries=made.entries,
        segment_bits=made.segment_bits,
        rescale=made.rescale,
    )
    fed = {"x": data.draw(integers(grid, (3, 7, 11)))}
    made_program = {"x": Grid(scale=1.0, zero_point=0, bits=bits, signed=True), "y": to}
    check([step], made_program, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_layer_norm_is_equal(data: st.DataObject) -> None:
    grid = real(data.draw(st.sampled_from([8, 16])), data.draw(st.sampled_from([1e-4, 0.01, 1.0])))
    to = real(data.draw(st.sampled_from([8, 16])), data.draw(st.sampled_from([2.0**-13, 0.03])))
    shape = data.draw(st.sampled_from([(12,), (3, 12)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    has_gamma, has_beta = data.draw(st.booleans()), data.draw(st.booleans())
    n = int(np.prod(shape))
    made = layer_norm_constants(
        grid,
        to,
        WIDTHS,
        n=n,
        gamma=rng.integers(-(2**15), 2**15, shape) if has_gamma else None,
        gamma_scale=2.0**-14,
        beta=rng.normal(size=shape) if has_beta else None,
        epsilon=data.draw(st.sampled_from([0.0, 1e-5, 1e-2])),
        node="node",
    )
    step = LayerNorm(
        name="node",
        output="y",
        input="x",
        axis=data.draw(st.sampled_from([-len(shape), 3 - len(shape)])),
        gamma=made.gamma,
        beta=made.beta,
        epsilon=made.epsilon,
        fraction=made.fraction,
        result_bits=made.result_bits,
        rescale=made.rescale,
    )
    fed = {"x": data.draw(integers(grid, (5, 3, 12)))}
    unit = Grid(scale=1.0, zero_point=0, bits=grid.bits, signed=True)
    check([step], {"x": unit, "y": to}, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_lengths_are_equal(data: st.DataObject) -> None:
    grid = real(data.draw(st.sampled_from([8, 16])), data.draw(st.sampled_from([1e-4, 0.01, 1.0])))
    to = real(data.draw(st.sampled_from([8, 16])), grid.scale * data.draw(st.sampled_from([0.5, 3.0, 200.0])))
    axes = data.draw(st.sampled_from([(0,), (1,), (1, 2)]))
    fraction = root_fraction(grid, 5 * 3 * 12)
    step = EuclideanNorm(
        name="node",
        output="y",
        input="x",
        axes=axes,
        keepdims=data.draw(st.booleans()),
        fraction=fraction,
        rescale=result_rescale(grid.scale * 2.0**-fraction / to.scale, WIDTHS, node="node").rescale,
    )
    fed = {"x": data.draw(integers(grid, (5, 3, 12)))}
    unit = Grid(scale=1.0, zero_point=0, bits=grid.bits, signed=True)
    check([step], {"x": unit, "y": to}, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_running_sums_are_equal(data: st.DataObject) -> None:
    grid, to = data.draw(grids()), data.draw(grids())
    step = Interpolate(
        name="node",
        output="y",
        input="x",
        matrices={1: np.tri(9, k=-data.draw(st.integers(0, 1)), dtype=np.int64)},
        rescale=data.draw(rescales(9 * 2.0**grid.bits, to)),
    )
    fed = {"x": data.draw(integers(grid, (2, 9, 4)))}
    check([step], {"x": grid, "y": to}, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_values_put_elsewhere_are_equal(data: st.DataObject) -> None:
    a, b, to = data.draw(grids()), data.draw(grids()), data.draw(grids())
    constant = Fixed(data.draw(integers(b, (2, 4, 5))) - b.zero_point)
    rounding = data.draw(roundings)
    joined = Concat(
        name="join",
        output="y",
        operands=("a", constant, constant, "b"),
        rescales=(
            data.draw(rescales(2.0**a.bits, to)),
            data.draw(rescales(2.0**b.bits, to)),
            None,
            data.draw(rescales(2.0**b.bits, to)),
        ),
        axis=1,
    )
    padded = PadWith(
        name="pad",
        output="p",
        input="y",
        pads=data.draw(st.tuples(*[st.integers(-1, 2)] * 6)),
        value=data.draw(st.integers(to.qmin, to.qmax)),
        rescale=None,
    )
    looked_up = Lookup(name="rows", output="r", table=data.draw(integers(to, (9, 4))), indices="i", axis=0)
    nodes = [
        helper.make_node("Transpose", ["y"], ["t"], perm=[2, 0, 1]),
        helper.make_node("Split", ["y"], ["s0", "s1"], axis=2, num_outputs=2),
        helper.make_node("Pad", ["y", "around"], ["around_y"]),
        helper.make_node("Shape", ["y"], ["i"], end=1),
    ]
    moves = [Move(name=node.op_type, output=node.output[0], node=node, more=tuple(node.output[1:])) for node in nodes]
    all_grids = {"a": a, "b": b, **dict.fromkeys(("y", "p", "t", "s0", "s1", "around_y", "r"), to)}
    fed = {"a": data.draw(integers(a, (2, 3, 5))), "b": data.draw(integers(b, (2, 1, 5)))}
    steps = [joined, padded, *moves, looked_up]
    check(steps, all_grids, fed, rounding=rounding, constants={"around": np.array([0, 1, 0, 0, 0, 2])})
