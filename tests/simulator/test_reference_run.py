"""Whole programs: casts, movement, float operators, what is kept and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_step import INT8, INT16, ONE, program_of, uint8, values_of
from onnx import TensorProto, helper

from search.quant.fp16 import round_fp16
from search.quant.grid import fake_quantize
from search.simulator.program import (
    Concat,
    Dequantize,
    Fixed,
    Float,
    Gemm,
    Lookup,
    Move,
    PadWith,
    Quantize,
    RoundHalf,
    Step,
)
from search.simulator.reference.movement import run_concat, run_lookup, run_pad
from search.simulator.reference.run import Reference, run
from search.simulator.rescale import Rescale


def quantize(output: str, source: str = "x") -> Quantize:
    return Quantize(name="q", output=output, input=source)


def dequantize(output: str, source: str) -> Dequantize:
    return Dequantize(name="dq", output=output, input=source)


@given(seed=st.integers(0, 99), zero_point=st.integers(0, 255))
def test_quantize_and_back_is_what_the_grid_does(seed: int, zero_point: int) -> None:
    grid = uint8(zero_point)
    x = np.random.default_rng(seed).normal(0, 10, (3, 4)).astype(np.float32)
    program = program_of((quantize("q"), dequantize("y", "q")), {"q": grid}, inputs={"x": 2}, outputs=("y",))
    made = run(program, {"x": x}, keep=["q"])
    np.testing.assert_array_equal(made.values["y"], fake_quantize(x, grid))
    assert made.kept["q"].dtype == np.uint8


def test_rounding_to_half_may_be_scaled() -> None:
    x = np.array([1.0001, 70000.0, -1e-9], np.float32)
    steps = (
        RoundHalf(name="h", output="y", input="x"),
        RoundHalf(name="h", output="z", input="x", prescale=3),
    )
    made = run(program_of(steps, {}, inputs={"x": 1}, outputs=("y", "z")), {"x": x}).values
    np.testing.assert_array_equal(made["y"], round_fp16(x))
    np.testing.assert_array_equal(made["z"], round_fp16(x / np.float32(8)) * np.float32(8))
    assert np.isinf(made["y"][1])
    assert np.isfinite(made["z"][1])


def move(node: str, inputs: list[str], outputs: list[str], **attributes: object) -> Move:
    return Move(
        name="m", output=outputs[0], more=tuple(outputs[1:]), node=helper.make_node(node, inputs, outputs, **attributes)
    )


def test_padding_with_zero_pads_with_the_zero_point() -> None:
    grid = uint8(77)
    steps = (quantize("q"), move("Pad", ["q", "pads"], ["p"]), dequantize("y", "p"))
    constants = {"pads": np.array([1, 2], np.int64)}
    program = program_of(steps, {"q": grid, "p": grid}, inputs={"x": 1}, outputs=("y",), constants=constants)
    made = run(program, {"x": np.array([1.0], np.float32)}, keep="all")
    assert made.kept["p"].tolist() == [77, 93, 77, 77]
    assert made.values["y"].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("grid", [INT8, INT16, uint8(9)])
def test_movement_keeps_every_integer_of_every_type(grid: object) -> None:
    steps: tuple[Step, ...] = (
        quantize("q"),
        move("Transpose", ["q"], ["t"], perm=[1, 0]),
        move("Split", ["t"], ["a", "b"], axis=0, num_outputs=2),
        dequantize("y", "b"),
    )
    grids = dict.fromkeys(("q", "t", "a", "b"), grid)
    x = np.arange(-6, 6, dtype=np.float32).reshape(2, 6)
    made = run(program_of(steps, grids, inputs={"x": 2}, outputs=("y",)), {"x": x}, keep="all")  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.concatenate([made.kept["a"], made.kept["b"]]), made.kept["q"].T)
    assert made.kept["a"].dtype == grid.dtype  # type: ignore[attr-defined]


def test_a_float_operator_runs_as_it_is_with_its_constants() -> None:
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    program = program_of(
        (Float(name="f", output="y", node=node),),
        {},
        inputs={"x": 1},
        outputs=("y",),
        constants={"w": np.array([2.0, 3.0], np.float32)},
    )
    reference = Reference(program)
    for scale in (1.0, 2.0):
        made = reference.run({"x": np.array([scale, scale], np.float32)})
        assert made.values["y"].tolist() == [2 * scale, 3 * scale]


def test_a_subgraph_reads_values_around_it() -> None:
    def branch(name: str, op: str) -> object:
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [value])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("t", "Neg"), else_branch=branch("e", "Abs"))
    program = program_of(
        (Float(name="f", output="y", node=node),),
        {},
        inputs={"x": 1},
        outputs=("y",),
        constants={"c": np.array(True)},
    )
    assert run(program, {"x": np.array([-2.0, 3.0], np.float32)}).values["y"].tolist() == [2, -3]


def test_concat_brings_every_operand_to_one_grid() -> None:
    half = Rescale(np.asarray(1), np.asarray(1))
    step = Concat(name="n", output="y", operands=("a", Fixed(np.array([[4, -4]]))), rescales=(half, None), axis=0)
    values = values_of({"a": (np.array([[255, 128]]), uint8(128))}, {"y": INT8})
    assert run_concat(step, values).tolist() == [[64, 0], [4, -4]]


def test_padding_may_cut_and_change_the_grid() -> None:
    step = PadWith(name="n", output="y", input="x", pads=(0, 1, 0, -1), value=-5, rescale=ONE)
    values = values_of({"x": (np.array([[1, 2, 3]]), INT8)}, {"y": INT16})
    assert run_pad(step, values).tolist() == [[-5, 1, 2]]


def test_lookup_takes_rows_and_counts_negative_indices_from_the_end() -> None:
    values = values_of({}, {"y": INT8})
    values["i"] = np.array([[0, -1]])
    step = Lookup(name="n", output="y", table=np.array([[1, 2], [3, 4], [5, 6]]), indices="i", axis=0)
    assert run_lookup(step, values).tolist() == [[[1, 2], [5, 6]]]


def overflowing(name: str, output: str, factor: int) -> Gemm:
    return Gemm(
        name=name,
        output=output,
        kind="matmul",
        a="q",
        b=Fixed(np.array([[factor]])),
        bias=None,
        preload=None,
        low=None,
        high=None,
        rescale=None,
        scales=np.asarray(1.0),
        axis=-1,
        acc_bits=8,
        overflow="error",
    )


def test_overflows_are_reported_once_per_node_with_the_largest_sum() -> None:
    steps = (quantize("q"), overflowing("a", "y", 2), overflowing("b", "z", 1), overflowing("a", "w", 3))
    program = program_of(steps, {"q": INT16}, inputs={"x": 2}, outputs=("y", "z", "w"))
    made = run(program, {"x": np.array([[200 * INT16.scale]], np.float32)})
    assert [(found.node, found.largest, found.bits) for found in made.overflows] == [("a", 600, 8), ("b", 200, 8)]
    assert made.values["w"].tolist() == [[600]]


def test_a_missing_input_is_named() -> None:
    program = program_of((quantize("q"),), {"q": INT8}, inputs={"x": 1}, outputs=())
    with pytest.raises(ValueError, match=r"The input 'x' is missing; got \['z'\]"):
        run(program, {"z": np.zeros(1, np.float32)})


def test_a_value_that_must_be_integers_but_has_no_grid_is_named() -> None:
    program = program_of((dequantize("y", "x"),), {}, inputs={"x": 1}, outputs=("y",))
    with pytest.raises(ValueError, match="The value 'x' has no grid"):
        run(program, {"x": np.zeros(1, np.float32)})


def test_an_unknown_kind_of_step_is_named() -> None:
    program = program_of((Step(name="odd", output="y"),), {}, inputs={"x": 1}, outputs=("y",))
    with pytest.raises(ValueError, match="odd: no way to run a step of type Step"):
        run(program, {"x": np.zeros(1, np.float32)})
