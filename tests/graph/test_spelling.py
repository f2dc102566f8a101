"""Files in the spellings the runtime takes: one form after reading, the same numbers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from search.graph.load import read_model
from search.graph.opset import lift
from search.graph.spelling import normalise_spelling
from tests.builders import assert_same_outputs, model, node, run, save


def _two() -> onnx.ModelProto:
    return model([node("Relu", "x", "a", "r"), node("Neg", "a", "y", "n")], ["x[N,4]"], ["y[N,4]"])


def test_the_default_domain_has_one_name(tmp_path: Path) -> None:
    proto = _two()
    proto.opset_import[0].domain = "ai.onnx"
    for one in proto.graph.node:
        one.domain = "ai.onnx"

    user = read_model(save(proto, tmp_path))

    assert [(one.domain, one.version) for one in user.proto.opset_import] == [("", 17)]
    assert {one.domain for one in user.proto.graph.node} == {""}
    lift(user.proto)


def test_an_import_written_twice_counts_once_and_two_versions_are_refused(tmp_path: Path) -> None:
    proto = _two()
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    assert read_model(save(proto, tmp_path)).opset == 17
    proto.opset_import.append(helper.make_opsetid("", 12))
    with pytest.raises(Exception, match=r"versions \[12, 17\]"):
        read_model(save(proto, tmp_path))


def test_nodes_in_any_order_are_put_behind_what_they_read(tmp_path: Path) -> None:
    proto, expected = _two(), _two()
    nodes = list(reversed(proto.graph.node))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)

    user = read_model(save(proto, tmp_path))

    assert [one.op_type for one in user.proto.graph.node] == ["Relu", "Neg"]
    assert_same_outputs(expected, user.proto)


def test_a_node_stands_behind_what_its_subgraph_reads() -> None:
    body = helper.make_graph([node("Add", "x a", "t", "add")], "b", [], [helper.make_empty_tensor_value_info("t")])
    other = helper.make_graph([node("Neg", "x", "e", "neg")], "o", [], [helper.make_empty_tensor_value_info("e")])
    nodes = [node("If", "c", "y", "if", then_branch=body, else_branch=other), node("Relu", "x", "a", "r")]
    proto = model(nodes, ["x[N,4]"], ["y[N,4]"], {"c": np.array(True)})

    normalise_spelling(proto)

    assert [one.name for one in proto.graph.node] == ["r", "if"]


def test_a_circle_is_left_for_the_checker(tmp_path: Path) -> None:
    proto = model([node("Relu", "b", "a", "r"), node("Neg", "a", "b", "n")], ["x[N,4]"], ["b[N,4]"])
    with pytest.raises(Exception, match="topologically sorted"):
        read_model(save(proto, tmp_path))


@pytest.mark.parametrize("opset", [11, 14, 16])
def test_layer_normalization_before_its_opset_is_read_and_lifted(tmp_path: Path, opset: int) -> None:
    constants = {"g": np.linspace(1, 2, 4), "b": np.linspace(-1, 1, 4)}
    proto = model(
        [node("LayerNormalization", "x g b", "y", "ln", axis=-1)], ["x[N,4]"], ["y[N,4]"], constants, opset=opset
    )

    user = read_model(save(proto, tmp_path))
    lifted = lift(user.proto).proto

    assert [(one.op_type, one.domain) for one in lifted.graph.node] == [("LayerNormalization", "")]
    assert {one.domain for one in lifted.opset_import} == {""}
    assert_same_outputs(proto, lifted)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_hardmax_of_an_old_opset_keeps_its_numbers(axis: int) -> None:
    proto = model([node("Hardmax", "x", "y", "h", axis=axis)], ["x[2,3,4,5]"], ["y[2,3,4,5]"], opset=11)
    assert_same_outputs(proto, lift(proto).proto)


@pytest.mark.parametrize(("opset", "op_type"), [(9, "Upsample"), (10, "Resize")])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("scales", [(1, 1, 2, 3), (1, 1, 1.6, 1.3), (1, 1, 0.5, 0.6)])
def test_resizes_of_old_opsets_keep_their_places(
    opset: int, op_type: str, mode: str, scales: tuple[float, ...]
) -> None:
    if op_type == "Upsample" and min(scales) < 1:
        pytest.skip("Upsample only enlarges.")
    constants = {"s": np.array(scales, np.float32)}
    proto = model([node(op_type, "x s", "y", "up", mode=mode)], ["x[N,2,5,7]"], ["y"], constants, opset=opset)
    lifted = lift(proto).proto
    x = np.random.default_rng(0).normal(size=(2, 2, 5, 7)).astype(np.float32)
    np.testing.assert_allclose(run(lifted, {"x": x})["y"], run(proto, {"x": x})["y"], rtol=1e-5, atol=1e-6)


def test_a_nearest_resize_that_no_later_opset_has_is_refused_by_name() -> None:
    constants = {"s": np.array([1, 1, 2, 0.5], np.float32)}
    proto = model([node("Resize", "x s", "y", "up")], ["x[N,2,4,4]"], ["y"], constants, opset=10)
    with pytest.raises(Exception, match=r"Resize 'up' of opset 10 or earlier .* Export the model at opset 11"):
        lift(proto)


@pytest.mark.parametrize("opset", [7, 8])
def test_opset_7_and_8_are_lifted(tmp_path: Path, opset: int) -> None:
    rng = np.random.default_rng(1)
    nodes = [node("Conv", "x w b", "c", "conv", pads=[1] * 4), node("Relu", "c", "r", "relu")]
    nodes += [node("MaxPool", "r", "p", "pool", kernel_shape=[2, 2]), node("Softmax", "p", "y", "soft", axis=1)]
    constants = {"w": rng.normal(size=(4, 3, 3, 3)), "b": rng.normal(size=4)}
    proto = model(nodes, ["x[2,3,6,6]"], ["y"], constants, opset=opset)
    proto.ir_version = 3
    del proto.graph.input[1:]
    proto.ir_version = 4
    assert_same_outputs(proto, lift(read_model(save(proto, tmp_path)).proto).proto)
