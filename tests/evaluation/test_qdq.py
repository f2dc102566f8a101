"""Oracle: the same placement carried out by hand, node after node, without any Q, DQ or Cast (``by_hand``)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from search.assignment import Assignment
from search.evaluation.qdq import QdqOptions, build_qdq
from search.graph.network import SlotKind
from search.precision import Format, Precision
from search.runtime.session import Level, Session
from search.targets.placement import Placement, place
from search.targets.rulebook import Rulebook
from search.targets.target import load_target
from search.work.loaded import Loaded
from tests.builders import conv, model, node, random_feeds, run
from tests.evaluation.by_hand import half, run_by_hand
from tests.evaluation.loading import load_proto, min_max_grids, random_placement, uniform_placement
from tests.evaluation.operators import OPERATORS
from tests.evaluation.random_graphs import random_graph

TARGETS = {
    "j6m": load_target("j6m", toolchain="3.2.0"),
    "j6p": load_target("j6p", toolchain=None),
    "ort-cpu": load_target("ort-cpu", toolchain=None),
}


def assert_same(expected: dict[str, Any], got: dict[str, Any]) -> None:
    assert set(expected) == set(got)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def initializers(proto: onnx.ModelProto) -> dict[str, Any]:
    return {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}


@pytest.mark.parametrize("seed", [*range(30), 1068, 1227])
def test_any_placement_of_a_random_graph_equals_the_one_carried_out_by_hand(seed, tmp_path):
    proto, feeds = random_graph(seed)
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS[("j6m", "ort-cpu")[seed % 2]])
    rng = np.random.default_rng(seed)
    network = loaded.structure.network
    placement = random_placement(network, rng)
    prescale = {t: int(rng.integers(1, 4)) for t in range(len(network.tensors)) if rng.random() < 0.2}
    expected = run_by_hand(loaded.template, placement, grids, feeds, prescale)
    made = build_qdq(loaded.template, placement, grids, QdqOptions(prescale=prescale)).model
    onnx.checker.check_model(made, full_check=True)
    assert_same(expected, Session(made, level=Level.PLAIN).run(feeds))
    pinned = Session(made, level=Level.PINNED).run(feeds)
    for name, value in expected.items():  # another summation order flips a few roundings, nothing more
        assert np.linalg.norm(pinned[name] - value) <= 0.03 * np.linalg.norm(value) + 1e-6, name
    moves = QdqOptions(prescale=prescale, explicit_moves=True)
    explicit = build_qdq(loaded.template, placement, grids, moves).model
    onnx.checker.check_model(explicit, full_check=True)
    assert_same(pinned, Session(explicit, level=Level.PINNED).run(feeds))


@pytest.mark.parametrize("seed", range(100, 112))
def test_legal_placements_equal_the_ones_carried_out_by_hand(seed, tmp_path):
    proto, feeds = random_graph(seed)
    loaded = load_proto(proto, feeds, tmp_path)
    rng = np.random.default_rng(seed)
    target = list(TARGETS.values())[seed % 3]
    allowed = Rulebook(loaded.structure.network, target).allowed
    effective = Assignment(tuple(one.choices[rng.integers(len(one.choices))] for one in allowed))
    placement = place(loaded.structure.network, target, effective)
    grids = min_max_grids(loaded, feeds, target)
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    expected = run_by_hand(loaded.template, placement, grids, feeds)
    assert_same(expected, Session(made, level=Level.PLAIN).run(feeds))


@pytest.mark.parametrize("seed", range(200, 210))
def test_nothing_quantized_is_the_prepared_model_bit_for_bit(seed, tmp_path):
    proto, feeds = random_graph(seed)
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    placement = uniform_placement(loaded.structure.network, Format.FP32)
    made = build_qdq(loaded.template, placement, grids, QdqOptions(explicit_moves=True)).model
    for level in (Level.PINNED, Level.PLAIN):
        assert_same(Session(loaded.template.model, level=level).run(feeds), Session(made, level=level).run(feeds))


def prepared(name: str, tmp_path: Any) -> tuple[Loaded, dict[str, Any]]:
    rng = np.random.default_rng(0)
    proto = OPERATORS[name](rng)
    feeds = {"ids": rng.integers(0, 9, (4, 3))} if name == "Gather" else random_feeds(proto, rng, batch=4)
    return load_proto(proto, feeds, tmp_path), feeds


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_runs_at_every_precision_of_every_target(name, tmp_path):
    loaded, feeds = prepared(name, tmp_path)
    network = loaded.structure.network
    seen = set()
    for target in TARGETS.values():
        grids = min_max_grids(loaded, feeds, target)
        allowed = Rulebook(network, target).allowed
        for precision in Precision:
            chosen = Assignment(tuple(precision if precision in one.choices else one.choices[-1] for one in allowed))
            placement = place(network, target, chosen)
            made = build_qdq(loaded.template, placement, grids, QdqOptions(explicit_moves=True)).model
            if name != "SimplifiedLayerNormalization":  # the runtime's own, which the checker does not know
                onnx.checker.check_model(made, full_check=True)
            Session(made, level=Level.DEPLOYED if target.name == "ort-cpu" else Level.PINNED).run(feeds)
            seen |= {*placement.stored, *(fmt for formats in placement.read for fmt in formats)}
    assert {Format.INT8, Format.INT16, Format.FP16} <= seen


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("fmt", [Format.INT8, Format.INT16, Format.FP16])
def test_every_operator_is_rounded_as_by_hand(name, fmt, tmp_path):
    loaded, feeds = prepared(name, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    placement = uniform_placement(loaded.structure.network, fmt)
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    expected = run_by_hand(loaded.template, placement, grids, feeds)
    assert_same(expected, Session(made, level=Level.PLAIN).run(feeds))


def two_convs(*, names: dict[str, str] | None = None, bias: Any = None) -> onnx.ModelProto:
    """Conv, Sigmoid, Conv over pictures of 3x4x4; ``names`` renames values."""
    rng = np.random.default_rng(3)
    at = {"x": "x", "a": "a", "s": "s", "y": "y", "w": "w", **(names or {})}
    nodes = [
        conv("c1", at["x"], at["a"], weight=at["w"], bias="b"),
        node("Sigmoid", at["a"], at["s"], "sig"),
        conv("c2", at["s"], at["y"], weight=at["w"]),
    ]
    constants = {at["w"]: rng.normal(size=(3, 3, 1, 1)), "b": rng.normal(size=3) if bias is None else bias}
    return model(nodes, [f"{at['x']}[N,3,4,4]"], [f"{at['y']}[N,3,4,4]"], constants)


def pictures(n: int = 4, *, scale: float = 1.0) -> Any:
    return (np.random.default_rng(5).normal(size=(n, 3, 4, 4)) * scale).astype(np.float32)


def test_names_the_model_uses_itself_are_left_to_it(tmp_path):
    names = {"a": "x_int8", "s": "x_scale", "y": "x_DequantizeLinear_Output", "w": "x_zero_point"}
    feeds = {"x": pictures()}
    loaded = load_proto(two_convs(names=names), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    network = loaded.structure.network
    # x is stored at int16 and read at int8: the cast wants the stem of the tensor x_int8.
    stored = tuple(Format.INT16 if t.name == "x" else Format.INT8 for t in network.tensors)
    placement = Placement(stored, uniform_placement(network, Format.INT8).read, (Format.INT8, Format.INT16))
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    onnx.checker.check_model(made, full_check=True)
    outputs = [name for one in made.graph.node for name in one.output]
    assert len(set(outputs)) == len(outputs)
    assert_same(run_by_hand(loaded.template, placement, grids, feeds), Session(made, level=Level.PLAIN).run(feeds))


def test_shared_weights_are_stored_once_per_format(tmp_path):
    feeds = {"x": pictures()}
    loaded = load_proto(two_convs(), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    base = uniform_placement(loaded.structure.network, Format.INT8)
    same = build_qdq(loaded.template, base, grids, QdqOptions()).model
    assert [name for name in initializers(same) if name.startswith("w") and name.endswith("_quantized")] == [
        "w_quantized"
    ]
    mixed = Placement(base.stored, base.read, (Format.INT8, Format.INT16))
    two = initializers(build_qdq(loaded.template, mixed, grids, QdqOptions()).model)
    assert sorted(str(two[name].dtype) for name in two if name.startswith("w") and name.endswith("_quantized")) == [
        "int16",
        "int8",
    ]


def test_weights_are_always_quantized_from_the_float_weights(tmp_path):
    feeds = {"x": pictures()}
    loaded = load_proto(two_convs(), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    network = loaded.structure.network
    first = build_qdq(loaded.template, uniform_placement(network, Format.INT8), grids, QdqOptions()).model
    build_qdq(loaded.template, uniform_placement(network, Format.INT16), grids, QdqOptions())
    build_qdq(loaded.template, uniform_placement(network, Format.FP16), grids, QdqOptions())
    again = build_qdq(loaded.template, uniform_placement(network, Format.INT8), grids, QdqOptions()).model
    assert first.SerializeToString() == again.SerializeToString()


def test_a_bias_beyond_int32_stays_float_and_is_named(tmp_path):
    bias = np.array([1e9, 0.5, -0.25], np.float32)
    feeds = {"x": pictures(scale=1e-3)}
    loaded = load_proto(two_convs(bias=bias), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    made = build_qdq(loaded.template, uniform_placement(loaded.structure.network, Format.INT8), grids, QdqOptions())
    assert made.float_biases == ("b",)
    np.testing.assert_array_equal(initializers(made.model)["b"], bias)


def test_a_bias_is_int32_with_the_product_of_the_scales(tmp_path):
    feeds = {"x": pictures()}
    loaded = load_proto(two_convs(), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    placement = uniform_placement(loaded.structure.network, Format.INT8)
    found = initializers(build_qdq(loaded.template, placement, grids, QdqOptions()).model)
    (quantized,) = [value for name, value in found.items() if value.dtype == np.int32 and name.endswith("_quantized")]
    (scale,) = [value for name, value in found.items() if name.startswith("b@") and name.endswith("_scale")]
    np.testing.assert_array_equal(scale, np.float32(found["x_scale"]) * found["w_scale"])
    np.testing.assert_allclose(
        quantized * scale.astype(np.float64), np.asarray(numpy_bias(loaded)), atol=scale.max() / 2
    )


def numpy_bias(loaded: Loaded) -> Any:
    return loaded.template.array("b")


def test_what_is_added_behind_a_constant_left_operand_is_no_int32_bias(tmp_path):
    # Weight scales run along the rows, the bias along the columns; both happen to be four.
    rng = np.random.default_rng(0)
    nodes = [node("MatMul", "w x", "m", "left"), node("Add", "m b", "y", "bias")]
    proto = model(nodes, ["x[N,4,4]"], ["y[N,4,4]"], {"w": rng.normal(size=(4, 4)), "b": rng.normal(size=4)})
    feeds = {"x": rng.normal(size=(3, 4, 4)).astype(np.float32)}
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    placement = uniform_placement(loaded.structure.network, Format.INT8)
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    assert all(value.dtype != np.int32 for value in initializers(made).values())
    assert_same(run_by_hand(loaded.template, placement, grids, feeds), Session(made, level=Level.PLAIN).run(feeds))


def test_an_input_that_is_an_output_leaves_as_it_came_and_is_read_rounded(tmp_path):
    proto = two_convs()
    proto.graph.output.append(proto.graph.input[0])
    feeds = {"x": pictures()}
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    placement = uniform_placement(loaded.structure.network, Format.INT8)
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    got = Session(made, level=Level.PLAIN).run(feeds)
    np.testing.assert_array_equal(got["x"], feeds["x"])
    assert_same(run_by_hand(loaded.template, placement, grids, feeds), got)


@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_an_output_stored_as_integers_lies_on_its_grid(precision, tmp_path):
    feeds = {"x": pictures()}
    loaded = load_proto(two_convs(), feeds, tmp_path)
    network, target = loaded.structure.network, TARGETS["j6m"]
    grids = min_max_grids(loaded, feeds, target)
    effective = Assignment(tuple(one.choices[0] for one in Rulebook(network, target).allowed))
    placement = place(network, target, effective, output_precision={"y": precision})
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    got = Session(made, level=Level.PINNED).run(feeds)["y"]
    grid = grids.activation(loaded.template.roots["y"], Format(precision))
    np.testing.assert_array_equal(got, np.rint(got / np.float32(grid.scale)) * np.float32(grid.scale))
    assert {value.name for value in made.graph.output} == {"y"}


def relu_chain(n: int) -> onnx.ModelProto:
    """``n`` Relu after each other: each value is what was stored before."""
    values = ["x", *(f"r{i}" for i in range(n - 1)), "y"]
    nodes = [node("Relu", a, b, f"relu{i}") for i, (a, b) in enumerate(itertools.pairwise(values))]
    return model(nodes, ["x[N,8]"], ["y[N,8]"])


@pytest.mark.parametrize("level", list(Level))
def test_no_level_drops_the_rounding_to_binary16(level, tmp_path):
    values = np.array([[1.0001, 65503, 65519.9, 65520, 1e9, 6e-8, 2.9e-8, 3.3]], np.float32)
    feeds = {"x": np.repeat(values, 3, axis=0)}
    loaded = load_proto(relu_chain(3), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6p"])
    made = build_qdq(
        loaded.template, uniform_placement(loaded.structure.network, Format.FP16), grids, QdqOptions()
    ).model
    got = Session(made, level=level).run(feeds)["y"]
    np.testing.assert_array_equal(got, half(feeds["x"]))
    assert np.isinf(got[0, 3:5]).all()


def test_a_pre_scale_keeps_large_values_finite(tmp_path):
    feeds = {"x": np.linspace(0, 2e5, 24, dtype=np.float32).reshape(3, 8)}
    loaded = load_proto(relu_chain(1), feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6p"])
    options = QdqOptions(prescale=dict.fromkeys(range(2), 2))
    placement = uniform_placement(loaded.structure.network, Format.FP16)
    for level in Level:
        got = Session(build_qdq(loaded.template, placement, grids, options).model, level=level).run(feeds)["y"]
        np.testing.assert_array_equal(got, half(feeds["x"] / 4) * 4)


@pytest.mark.parametrize("level", [Level.PINNED, Level.PLAIN])
@pytest.mark.parametrize(("stored", "read"), [(Format.INT16, Format.INT8), (Format.INT8, Format.INT16)])
def test_a_cast_rounds_what_is_already_rounded(level, stored, read, tmp_path):
    feeds = {"x": np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)}
    loaded = load_proto(
        model([node("Sigmoid", "x", "s", "sig"), node("Relu", "s", "y", "relu")], ["x[N,8]"], ["y"]), feeds, tmp_path
    )
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    placement = Placement((stored,) * 3, ((read,), (read,)), ())
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    assert sum(one.op_type == "QuantizeLinear" for one in made.graph.node) == 5
    assert_same(run_by_hand(loaded.template, placement, grids, feeds), Session(made, level=level).run(feeds))


def test_subgraphs_read_in_the_format_of_their_operator(tmp_path):
    outer = model([node("Sigmoid", "x", "s", "sig"), node("ReduceSum", "s", "t", "sum", keepdims=0)], ["x[N,8]"], ["y"])
    bodies = []
    for op_type in ("Neg", "Abs"):
        out = helper.make_tensor_value_info(f"o{op_type}", onnx.TensorProto.FLOAT, None)
        bodies.append(helper.make_graph([node(op_type, "s", f"o{op_type}", f"n{op_type}")], op_type, [], [out]))
    outer.graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
    outer.graph.node.append(node("Greater", "t zero", "c", "compare"))
    outer.graph.node.append(node("If", "c", "y", "if", then_branch=bodies[0], else_branch=bodies[1]))
    feeds = {"x": np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)}
    loaded = load_proto(outer, feeds, tmp_path)
    network = loaded.structure.network
    grids = min_max_grids(loaded, feeds, TARGETS["j6p"])
    base = uniform_placement(network, Format.FP32)
    for stored, read in ((Format.INT16, Format.FP16), (Format.FP32, Format.FP16), (Format.INT8, Format.FP32)):
        s = loaded.template.roots["s"]
        placement = Placement(
            tuple(stored if t == s else fmt for t, fmt in enumerate(base.stored)),
            tuple(
                tuple(read if slot.node == "if" and slot.tensor == s else Format.FP32 for slot in group.inputs)
                for group in network.groups
            ),
            (),
        )
        made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
        assert_same(run_by_hand(loaded.template, placement, grids, feeds), Session(made, level=Level.PLAIN).run(feeds))


@pytest.mark.parametrize("opset", [13, 17, 21, 22])
def test_the_opset_is_21_or_the_models_own(opset, tmp_path):
    proto = two_convs()
    proto.opset_import[0].version = opset
    feeds = {"x": pictures()}
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["ort-cpu"])
    made = build_qdq(loaded.template, uniform_placement(loaded.structure.network, Format.INT16), grids, QdqOptions())
    assert {one.domain: one.version for one in made.model.opset_import} == {"": max(21, opset)}
    onnx.checker.check_model(made.model, full_check=True)


def test_a_model_in_float16_is_quantized_between_ends_of_float16(tmp_path):
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(3, 3, 1, 1)).astype(np.float16)}
    nodes = [conv("c", "x", "a", weight="w"), node("Sigmoid", "a", "y", "s")]
    proto = model(nodes, ["x:float16[N,3,4,4]"], ["y:float16[N,3,4,4]"], constants)
    feeds = {"x": pictures().astype(np.float16)}
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6p"])
    for moves in (False, True):
        options = QdqOptions(explicit_moves=moves)
        made = build_qdq(loaded.template, uniform_placement(loaded.structure.network, Format.INT8), grids, options)
        got = Session(made.model, level=Level.PINNED).run(feeds)["y"]
        assert got.dtype == np.float16
        np.testing.assert_allclose(got, run(proto, feeds)["y"], atol=0.05)
        assert sum(one.op_type == "QuantizeLinear" for one in made.model.graph.node) == 3


def test_a_product_with_one_float_side_keeps_its_bias_float(tmp_path):
    # Where everything but one point is rounded, a MatMul of two activations has an integer and a float side.
    loaded, feeds = prepared("MatMulOfTwo", tmp_path)
    network = loaded.structure.network
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    base = uniform_placement(network, Format.INT8)
    read = tuple(
        tuple(Format.FP32 if slot.kind is SlotKind.SECOND else fmt for slot, fmt in zip(g.inputs, formats, strict=True))
        for g, formats in zip(network.groups, base.read, strict=True)
    )
    placement = Placement(base.stored, read, base.constants)
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    assert "b" in initializers(made)
    assert_same(run_by_hand(loaded.template, placement, grids, feeds), Session(made, level=Level.PLAIN).run(feeds))


@pytest.mark.parametrize("stored", [Format.INT16, Format.FP16, Format.FP32])
@pytest.mark.parametrize("explicit_moves", [False, True])
def test_a_cast_behind_a_transpose_does_not_round_the_output_in_front_of_it(stored, explicit_moves, tmp_path):
    # The runtime puts Q/DQ in front of such a Transpose and overlooks that the value there is a model output.
    rng = np.random.default_rng(0)
    nodes = [
        node("Sigmoid", "x", "s", "sig"),
        node("Transpose", "s", "t", "turn", perm=[0, 2, 1]),
        node("MatMul", "t w", "y", "product"),
    ]
    proto = model(nodes, ["x[N,4,6]"], ["s[N,4,6]", "y[N,6,5]"], {"w": rng.normal(size=(4, 5))})
    feeds = {"x": rng.normal(size=(3, 4, 6)).astype(np.float32)}
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6m"])
    placement = Placement((Format.FP32, stored, Format.FP32), ((Format.FP32,), (Format.INT8,)), (Format.INT8,))
    made = build_qdq(loaded.template, placement, grids, QdqOptions(explicit_moves=explicit_moves)).model
    onnx.checker.check_model(made, full_check=True)
    expected = run_by_hand(loaded.template, placement, grids, feeds)
    assert_same(expected, Session(made, level=Level.PLAIN).run(feeds))
    np.testing.assert_array_equal(Session(made, level=Level.PINNED).run(feeds)["s"], expected["s"])
