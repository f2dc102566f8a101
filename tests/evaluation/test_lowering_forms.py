"""Operators in all the ways they are written: each has an integer form within a step of float arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from search.evaluation.lowering.lower import lower
from search.precision import Format
from search.simulator.making.infeasible import Infeasible
from search.simulator.program import Gemm, Program
from search.simulator.reference.run import Reference
from search.targets.placement import Placement
from search.targets.target import load_target
from tests.builders import conv, model, node
from tests.evaluation.loading import load_proto, min_max_grids, uniform_placement
from tests.evaluation.step_by_step import Gap, StepByStep

J6M = load_target("j6m", toolchain="3.5.0")
TX = load_target("tx5105c", toolchain=None)
ORT = load_target("ort-cpu", toolchain=None)
RNG = np.random.default_rng(7)
C4 = RNG.normal(size=(4, 1, 1)).astype(np.float32)
PICTURES = RNG.normal(size=(3, 4, 6, 6)).astype(np.float32)
ROWS = RNG.normal(size=(3, 5, 6)).astype(np.float32)


def between(*nodes: onnx.NodeProto, constants: Mapping[str, Any] | None = None, opset: int = 21) -> onnx.ModelProto:
    """``nodes`` from ``a`` to ``b`` between two Sigmoid; ``x`` is a picture."""
    ends = [node("Sigmoid", "x", "a", "first"), node("Sigmoid", "b", "y", "last")]
    return model([ends[0], *nodes, ends[1]], ["x[N,4,6,6]"], ["y[N,?,?,?]"], constants, opset=opset)


def rows(*nodes: onnx.NodeProto, constants: Mapping[str, Any] | None = None) -> onnx.ModelProto:
    """``nodes`` from ``a`` to ``b`` between two Tanh; ``x`` is ``[N, 5, 6]``."""
    ends = [node("Tanh", "x", "a", "first"), node("Sigmoid", "b", "y", "last")]
    return model([ends[0], *nodes, ends[1]], ["x[N,5,6]"], ["y[N,?,?]"], constants, opset=21)


def one(op_type: str, inputs: str = "a", constants: Mapping[str, Any] | None = None, **attrs: Any) -> onnx.ModelProto:
    return between(node(op_type, inputs, "b", "op", **attrs), constants=constants)


def resize(mode: str, transformation: str, scales: Sequence[float], **attrs: Any) -> onnx.ModelProto:
    return one(
        "Resize",
        "a _ s",
        {"s": np.array(scales, np.float32)},
        mode=mode,
        coordinate_transformation_mode=transformation,
        **attrs,
    )


def gemm(**attrs: Any) -> Callable[[Any, Any], onnx.ModelProto]:
    def build(weights: Any, bias: Any) -> onnx.ModelProto:
        nodes = [
            node("Tanh", "x", "a", "first"),
            node("Gemm", "a w c", "b", "op", **attrs),
            node("Sigmoid", "b", "y", "last"),
        ]
        return model(nodes, ["x[N,6]"], ["y[N,?]"], {"w": weights, "c": bias}, opset=21)

    return build


def layer_norm_over(axes: Sequence[int], gamma: Any, beta: Any) -> onnx.ModelProto:
    constants = {"axes": np.array(axes), "e": np.float32(1e-3), "two": np.float32(2), "gamma": gamma, "beta": beta}
    nodes = [
        node("ReduceMean", "a axes", "m", "mean"),
        node("Sub", "a m", "d", "centre"),
        node("Pow", "d two", "q", "square"),
        node("ReduceMean", "q axes", "v", "spread"),
        node("Add", "v e", "ve", "offset"),
        node("Sqrt", "ve", "s", "root"),
        node("Div", "d s", "z", "division"),
        node("Mul", "z gamma", "zg", "scale"),
        node("Add", "zg beta", "b", "op"),
    ]
    return between(*nodes, constants=constants)


def rms_norm(*, reciprocal: bool) -> onnx.ModelProto:
    """RMSNorm over the last axis as exporters write it."""
    constants = {"axes": np.array([-1]), "e": np.float32(1e-3), "two": np.float32(2), "gamma": np.linspace(0.5, 2, 6)}
    end = [node("Div", "a s", "z", "division")]
    if reciprocal:
        end = [node("Reciprocal", "s", "r", "inverse"), node("Mul", "a r", "z", "division")]
    nodes = [node("Pow", "a two", "q", "square"), node("ReduceMean", "q axes", "v", "spread")]
    nodes += [node("Add", "v e", "ve", "offset"), node("Sqrt", "ve", "s", "root"), *end]
    return between(*nodes, node("Mul", "gamma z", "b", "op"), constants=constants)


W13 = RNG.normal(0, 0.4, (3, 4, 3, 3))
FORMS: dict[str, onnx.ModelProto] = {
    "RMSNorm, Div": rms_norm(reciprocal=False),
    "RMSNorm, Reciprocal": rms_norm(reciprocal=True),
    "largest of three": between(
        node("Neg", "a", "n", "neg"), node("Max", "a n c", "b", "op"), constants={"c": np.float32(0.4)}
    ),
    "smallest with a constant": one("Min", "c a", {"c": C4}),
    "sum of three": between(node("Neg", "a", "n", "neg"), node("Sum", "a n a", "b", "op")),
    "Where by a constant": one("Where", "m a c", {"m": RNG.random((4, 6, 6)) > 0.5, "c": C4}),
    "ScatterElements": one(
        "ScatterElements",
        "a at u",
        {"at": np.zeros((1, 4, 6, 1), np.int64), "u": RNG.normal(size=(1, 4, 6, 1))},
        axis=3,
    ),
    "ReduceMin without the axis": between(
        node("ReduceMin", "a axes", "n", "op", keepdims=0),
        node("Unsqueeze", "n axes", "b", "back"),
        constants={"axes": np.array([1])},
    ),
    "add a scalar": one("Add", "a c", {"c": np.float32(-0.7)}),
    "subtract from a scalar": one("Sub", "c a", {"c": np.float32(0.3)}),
    "subtract a constant": one("Sub", "a c", {"c": C4}),
    "add itself": one("Add", "a a"),
    "times a negative scalar": one("Mul", "a c", {"c": np.float32(-1.7)}),
    "times zero": one("Mul", "c a", {"c": np.float32(0)}),
    "times a constant": one("Mul", "c a", {"c": C4}),
    "divided by a scalar": one("Div", "a c", {"c": np.float32(-3)}),
    "divided by a constant": one("Div", "a c", {"c": np.abs(C4) + 1}),
    "a scalar divided": between(
        node("Add", "a one", "p", "up"),
        node("Div", "c p", "b", "op"),
        constants={"c": np.float32(-2.5), "one": C4 * 0 + 1},
    ),
    "LeakyRelu falling": between(
        node("Add", "a h", "p", "down"), node("LeakyRelu", "p", "b", "op", alpha=-0.3), constants={"h": C4}
    ),
    "PRelu of one slope": between(
        node("Add", "a h", "p", "down"), node("PRelu", "p s", "b", "op"), constants={"h": C4, "s": np.float32(0.2)}
    ),
    "PRelu of a slope per value": between(
        node("Add", "a h", "p", "down"),
        node("PRelu", "p s", "b", "op"),
        constants={"h": C4, "s": RNG.normal(size=(4, 6, 6))},
    ),
    "PRelu of slopes of both signs": between(
        node("Add", "a h", "p", "down"), node("PRelu", "p s", "b", "op"), constants={"h": C4, "s": C4[::-1].copy()}
    ),
    "Clip from below": one("Clip", "a low", {"low": np.float32(0.4)}),
    "Clip from above": one("Clip", "a _ high", {"high": np.float32(0.6)}),
    "Clip to what is beyond the grid": one("Clip", "a low high", {"low": np.float32(-9), "high": np.float32(9)}),
    "MaxPool with borders": one("MaxPool", kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1], ceil_mode=1),
    "MaxPool of the same size": one("MaxPool", kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
    "AveragePool with borders": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    "AveragePool of the same size": one("AveragePool", kernel_shape=[3, 3], auto_pad="SAME_LOWER"),
    "AveragePool that counts borders": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "AveragePool that looks beyond the end": one("AveragePool", kernel_shape=[4, 4], strides=[3, 3], ceil_mode=1),
    "ReduceMean of one axis": one("ReduceMean", "a axes", {"axes": np.array([-1])}),
    "ReduceMean that drops axes": between(
        node("ReduceMean", "a axes", "m", "op", keepdims=0),
        node("Reshape", "m shape", "b", "shape"),
        constants={"axes": np.array([3, 1]), "shape": np.array([0, -1, 1, 1])},
    ),
    "linear Resize by half pixels": resize("linear", "half_pixel", [1, 1, 2, 1.5]),
    "linear Resize by corners": resize("linear", "align_corners", [1, 1, 0.5, 2]),
    "linear Resize of columns": resize("linear", "asymmetric", [1, 1, 1, 2.5]),
    "nearest Resize": resize("nearest", "asymmetric", [1, 1, 2, 0.5], nearest_mode="floor"),
    "Resize to sizes": one("Resize", "a _ _ s", {"s": np.array([9, 4])}, mode="linear", axes=[2, 3]),
    "Pad of some axes": one(
        "Pad", "a pads value axes", {"pads": np.array([1, 2]), "value": np.float32(-0.4), "axes": np.array([3])}
    ),
    "Pad with zero of some axes": one(
        "Pad", "a pads zero axes", {"pads": np.array([1, 2]), "zero": np.float32(0), "axes": np.array([3])}
    ),
    "Pad by reflection": one("Pad", "a pads", {"pads": np.array([0, 0, 1, 1, 0, 0, 2, 2])}, mode="reflect"),
    "Concat with a constant": between(
        node("Transpose", "a", "t", "turn", perm=[1, 2, 3, 0]),
        node("Slice", "t zero one three", "u", "cut"),
        node("Concat", "u c", "b", "op", axis=1),
        constants={
            **{name: np.array([i]) for name, i in (("zero", 0), ("one", 1), ("three", 3))},
            "c": RNG.normal(size=(4, 2, 6, 1)),
        },
    ),
    "Softmax of channels": one("Softmax", axis=1),
    "LayerNormalization of two axes": between(
        node("LayerNormalization", "a g h", "b", "op", axis=2, epsilon=1e-3),
        constants={"g": RNG.normal(1, 0.3, (6, 6)), "h": RNG.normal(size=(6, 6))},
    ),
    "LayerNormalization without an addend": between(
        node("LayerNormalization", "a g", "b", "op"), constants={"g": RNG.normal(1, 0.3, 6)}
    ),
    "LayerNormalization in pieces": layer_norm_over([-1], RNG.normal(1, 0.3, 6), RNG.normal(size=(1, 6))),
    "LayerNormalization of channels": layer_norm_over([1], C4, C4[::-1].copy()),
    "LayerNormalization with numbers": layer_norm_over([2, 3], np.float32(-1.5), np.float32(0.5)),
    "Conv of the same size": between(
        conv("op", "a", "b", weight="w", bias="c", auto_pad="SAME_UPPER", strides=[2, 2]),
        constants={"w": W13, "c": RNG.normal(size=3)},
    ),
    "Conv with Clip": between(
        conv("op", "a", "h", weight="w", dilations=[2, 1]),
        node("Clip", "h low high", "b", "clip"),
        constants={"w": W13, "low": np.float32(-0.2), "high": np.float32(0.6)},
    ),
    "Conv and one number": between(
        conv("op", "a", "h", weight="w"), node("Add", "h c", "b", "bias"), constants={"w": W13, "c": np.float32(0.4)}
    ),
    "ConvTranspose of a stated shape": between(
        conv(
            "op",
            "a",
            "b",
            weight="w",
            bias="c",
            op_type="ConvTranspose",
            strides=[2, 2],
            output_shape=[11, 12],
            group=2,
        ),
        constants={"w": RNG.normal(0, 0.4, (4, 2, 3, 3)), "c": RNG.normal(size=4)},
    ),
    "ConvTranspose of the same size": between(
        conv("op", "a", "b", weight="w", op_type="ConvTranspose", strides=[2, 2], auto_pad="SAME_LOWER"),
        constants={"w": RNG.normal(0, 0.4, (4, 3, 3, 3))},
    ),
    "ConvTranspose with more at the end": between(
        conv(
            "op",
            "a",
            "b",
            weight="w",
            op_type="ConvTranspose",
            strides=[2, 3],
            output_padding=[1, 2],
            pads=[1, 0, 1, 1],
        ),
        constants={"w": RNG.normal(0, 0.4, (4, 3, 3, 3))},
    ),
    "Gemm with factors": gemm(alpha=0.5, beta=2.0, transB=1)(RNG.normal(size=(4, 6)), RNG.normal(size=4)),
    "Gemm that is its bias alone": gemm(alpha=0.0)(RNG.normal(size=(6, 4)), RNG.normal(size=4)),
    "Gemm with negative factors": gemm(alpha=-1.5, beta=-0.5)(RNG.normal(size=(6, 4)), RNG.normal(size=(1, 4))),
    "Gemm with a number added": gemm()(RNG.normal(size=(6, 4)), np.float32(0.3)),
    "MatMul of a constant and a value": rows(
        node("MatMul", "w a", "m", "op"),
        node("Add", "m c", "b", "bias"),
        constants={"w": RNG.normal(size=(4, 5)), "c": RNG.normal(size=(4, 1))},
    ),
    "MatMul with weights per head": rows(
        node("MatMul", "a w", "m", "op"),
        node("Add", "m c", "b", "bias"),
        constants={"w": RNG.normal(size=(1, 6, 4)), "c": RNG.normal(size=4)},
    ),
    "MatMul of a vector": rows(
        node("MatMul", "a w", "m", "op"),
        node("Unsqueeze", "m last", "b", "up"),
        constants={"w": RNG.normal(size=6), "last": np.array([2])},
    ),
    "MatMul, sum and Relu": rows(
        node("MatMul", "a w", "m", "op"),
        node("Add", "m c", "n", "bias"),
        node("Add", "a n", "s", "sum"),
        node("Relu", "s", "b", "relu"),
        constants={"w": RNG.normal(size=(6, 6)), "c": RNG.normal(size=6)},
    ),
    "Gemm with a value added": model(
        [
            node("Tanh", "x", "a", "first"),
            node("Gemm", "a w a", "b", "op", beta=0.7),
            node("Sigmoid", "b", "y", "last"),
        ],
        ["x[N,6]"],
        ["y[N,6]"],
        {"w": RNG.normal(size=(6, 6))},
        opset=21,
    ),
}


def feeds_for(proto: onnx.ModelProto) -> dict[str, Any]:
    rank = len(proto.graph.input[0].type.tensor_type.shape.dim)
    return {"x": {4: PICTURES, 3: ROWS, 2: ROWS[0]}[rank]}


def programs(proto: onnx.ModelProto, tmp_path: Any) -> list[tuple[Program, list[Gap]]]:
    feeds = feeds_for(proto)
    loaded = load_proto(proto, feeds, tmp_path)
    found = []
    for target in (J6M, ORT):
        grids = min_max_grids(loaded, feeds, target)
        for fmt in (Format.INT8, Format.INT16):
            placement = uniform_placement(loaded.structure.network, fmt)
            program = lower(loaded.template, placement, grids, target.arithmetic)
            found.append((program, StepByStep(loaded.template, placement, grids, program).compare(feeds)))
    return found


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_an_operator_has_an_integer_form_near_float(name, tmp_path):
    allowed = 16.0 if "Resize" in name else 3.0 if "Norm" in name else 1.0  # weights of 10 bits; int16 inside
    for program, gaps in programs(FORMS[name], tmp_path):
        assert not program.float_interior
        assert not program.warnings
        for gap in gaps:
            if gap.kind not in ("Sigmoid", "Tanh"):
                limit = min(allowed, 3.0) if gap.stored is Format.INT8 else 4 * allowed + 1
                assert gap.steps <= limit, (gap, program.steps)


@pytest.mark.parametrize(
    "proto",
    [
        resize("cubic", "half_pixel", [1, 1, 2, 2]),
        resize("linear", "half_pixel", [1, 1, 0.5, 0.5], antialias=1),
    ],
    ids=["cubic", "antialias"],
)
def test_what_has_no_integer_form_is_float_between_integers(proto, tmp_path):
    for program, gaps in programs(proto, tmp_path):
        assert program.float_interior == ("op",)
        assert all(gap.steps == 0 for gap in gaps if gap.kind == "Resize")


def conv_with(weights: Any, bias: Any) -> onnx.ModelProto:
    return between(conv("op", "a", "b", weight="w", bias="c"), constants={"w": weights, "c": bias})


def dead_channel(*, transposed: bool) -> onnx.ModelProto:
    """Channel 1 of 4 (in two groups) has weights of next to nothing and a bias like the others."""
    weights = RNG.normal(0, 0.4, (4, 2, 1, 1))
    bias = np.array([0.3, 0.5, -0.2, 0.1])
    if transposed:
        weights[:2, 1] *= 1e-10  # output channel 1 of the first group; its weights share one scale with channel 3
        weights[2:, 1] *= 1e-10
        bias[3] = 0.4
    else:
        weights[1] *= 1e-10
    kind = "ConvTranspose" if transposed else "Conv"
    return between(
        conv("op", "a", "b", weight="w", bias="c", op_type=kind, group=2), constants={"w": weights, "c": bias}
    )


@pytest.mark.parametrize("transposed", [False, True])
def test_a_bias_far_above_dead_weights_makes_them_coarser_and_changes_no_result(transposed, tmp_path):
    for program, gaps in programs(dead_channel(transposed=transposed), tmp_path):
        assert [warning.code for warning in program.warnings] in ([], ["bias-coarser"])
        assert all(gap.steps <= (1 if gap.stored is Format.INT8 else 3) for gap in gaps if "Conv" in gap.kind)
        (step,) = [step for step in program.steps if isinstance(step, Gemm)]
        assert step.bias is not None
        assert np.abs(step.bias).max() < 2 ** (step.acc_bits - 2)


def summed(scale: float) -> onnx.ModelProto:
    """``Conv(a) + a`` with the weights of channel 1 scaled."""
    weights = RNG.normal(0, 0.4, (4, 4, 1, 1))
    weights[1] *= scale
    return between(
        conv("op", "a", "h", weight="w"), node("Add", "a h", "b", "sum"), constants={"w": weights.astype(np.float32)}
    )


def lowered(proto: onnx.ModelProto, target: Any, tmp_path: Any, fmt: Format = Format.INT8) -> tuple[Program, list[Gap]]:
    feeds = feeds_for(proto)
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, target)
    placement = uniform_placement(loaded.structure.network, fmt)
    program = lower(loaded.template, placement, grids, target.arithmetic)
    return program, StepByStep(loaded.template, placement, grids, program).compare(feeds)


def test_a_summed_input_that_cannot_shift_left_makes_dead_weights_coarser(tmp_path):
    program, gaps = lowered(summed(1e-6), TX, tmp_path)
    assert [warning.code for warning in program.warnings] == ["bias-coarser"]
    assert "summed input of 1 channel(s)" in program.warnings[0].text
    assert all(gap.steps <= 1 for gap in gaps)
    assert not lowered(summed(1e-6), J6M, tmp_path)[0].warnings  # there it may shift 16 bits to the left


def test_an_accumulator_coarser_than_the_output_is_said_to_round_the_sum(tmp_path):
    """Values of 1e5 times weights of 1e5 leave a result below 1: more than the accumulator has room for."""
    constants = {
        "k": np.float32(1e5),
        "w": np.eye(4).reshape(4, 4, 1, 1) * 1e5,
        "low": np.float32(0),
        "high": np.float32(1),
    }
    nodes = [
        node("Mul", "a k", "big", "up"),
        conv("op", "big", "h", weight="w"),
        node("Add", "a h", "s", "sum"),
        node("Clip", "s low high", "b", "clip"),
    ]
    program, _ = lowered(between(*nodes, constants=constants), J6M, tmp_path)
    assert [warning.code for warning in program.warnings] == ["sum-coarser"]
    assert "4 channel(s)" in program.warnings[0].text


def test_an_accumulator_coarser_than_the_summed_input_is_lifted_as_far_as_it_has_room(tmp_path):
    """The gemm's own result is a small part of a range that outliers of its input and weights blow up."""
    weight = np.eye(4).reshape(4, 4, 1, 1) * 1e-3
    constants = {"k": np.float32(1e3), "w": weight + 0.05 * np.roll(weight, 1, axis=0)}
    nodes = [
        node("Mul", "a k", "big", "up"),
        conv("op", "big", "h", weight="w"),
        node("Mul", "a tiny", "little", "down"),
        node("Add", "h little", "s", "sum"),
        node("Sub", "s a", "b", "rest"),
    ]
    program, gaps = lowered(between(*nodes, constants={**constants, "tiny": np.float32(1e-3)}), J6M, tmp_path)
    (gemm,) = (step for step in program.steps if getattr(step, "preload", None) is not None)
    assert gemm.lift > 0
    assert not program.warnings
    assert all(gap.steps <= 1 for gap in gaps)


def test_a_requantizer_out_of_range_is_infeasible_and_says_which_and_what_to_do(tmp_path):
    proto = between(
        conv("op", "a", "h", weight="w"),
        node("Clip", "h low high", "b", "clip"),
        constants={"w": RNG.normal(size=(4, 4, 1, 1)) * 1e6, "low": np.float32(0), "high": np.float32(1e-3)},
    )
    with pytest.raises(Infeasible, match=r"OP:op q:-\d+ must range in \[0, 31\] to meet hardware spec.*Calibrate"):
        lowered(proto, TX, tmp_path)


def test_a_sum_that_is_read_in_float_is_added_behind_the_accumulator(tmp_path):
    proto = rows(
        node("MatMul", "a w", "m", "op"),
        node("Add", "m c", "n", "bias"),
        node("Add", "n a", "s", "sum"),
        node("Relu", "s", "b", "relu"),
        constants={"w": RNG.normal(size=(6, 6)), "c": RNG.normal(size=6)},
    )
    feeds = feeds_for(proto)
    loaded = load_proto(proto, feeds, tmp_path)
    network = loaded.structure.network
    grids = min_max_grids(loaded, feeds, J6M)
    (g,) = [g for g, group in enumerate(network.groups) if group.name == "op"]
    plain = uniform_placement(network, Format.INT8)
    read = tuple((Format.INT8, Format.FP16) if i == g else formats for i, formats in enumerate(plain.read))
    placement = Placement(plain.stored, read, plain.constants)
    program = lower(loaded.template, placement, grids, J6M.arithmetic)
    kinds = [type(step).__name__ for step in program.steps if step.name in ("op", "b")]
    assert kinds == ["Gemm", "Float", "Float", "Quantize"]
    assert not program.float_interior
    assert all(gap.steps <= 1 for gap in StepByStep(loaded.template, placement, grids, program).compare(feeds))


def test_names_the_model_uses_itself_are_left_to_it(tmp_path):
    proto = between(
        node("Tanh", "a", "a_quantized", "t"),
        node("Add", "a_quantized a", "a_int8", "u"),
        node("Relu", "a_int8", "b", "v"),
    )
    feeds = feeds_for(proto)
    loaded = load_proto(proto, feeds, tmp_path)
    network = loaded.structure.network
    grids = min_max_grids(loaded, feeds, J6M)
    plain = uniform_placement(network, Format.INT8)
    stored = tuple(Format.INT16 if tensor.name == "a" else Format.INT8 for tensor in network.tensors)
    program = lower(loaded.template, Placement(stored, plain.read, plain.constants), grids, J6M.arithmetic)
    written = [step.output for step in program.steps]
    assert len(set(written)) == len(written)
    assert "a_quantized" not in program.grids
    assert "a_int8" not in program.grids
    assert Reference(program).run(feeds).values["y"].shape == (3, 4, 6, 6)
