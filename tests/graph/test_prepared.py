from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.load import read_model
from search.graph.prepared import prepare
from tests.builders import (
    assert_same_outputs,
    batch_norm,
    batch_norm_constants,
    conv,
    graph,
    model,
    node,
    run,
    save,
    value,
)

RNG = np.random.default_rng(7)


def residual_net(opset=11):
    """Two convolutions with BatchNorm, a shortcut, a head; unnamed nodes, Identity, Dropout, constants."""
    constants = {
        "w1": RNG.normal(size=(4, 3, 3, 3)),
        "w2": RNG.normal(size=(4, 4, 1, 1)),
        "fc": RNG.normal(size=(4, 5)),
        **batch_norm_constants("bn1", 4, RNG),
        **batch_norm_constants("bn2", 4, RNG),
    }
    nodes = [
        conv("stem", "x", "a", weight="w1", pads=[1, 1, 1, 1]),
        batch_norm("bn1", "a", "b", "bn1"),
        node("Relu", "b", "c"),
        conv("stem", "c", "d", weight="w2"),
        node("Identity", "d", "d2"),
        batch_norm("bn2", "d2", "e", "bn2"),
        node("Add", "e c", "f", "add"),
        node("Constant", "", "six", "six", value=onnx.helper.make_tensor("v", 1, [], [6.0])),
        node("Constant", "", "zero", "zero", value=onnx.helper.make_tensor("v", 1, [], [0.0])),
        node("Clip", "f zero six", "g", "clip"),
        node("ReduceMean", "g", "h", "mean", axes=[2, 3], keepdims=0),
        node("Dropout", "h", "i"),
        node("Neg", "h", "unread", "dead"),
        node("MatMul", "i fc", "j", "fc"),
        node("Identity", "j", "y", "out"),
    ]
    return model(nodes, ["x[N,3,8,8]"], ["y[N,5]"], constants, opset=opset)


def prepared(proto, folder):
    user = read_model(save(proto, folder))
    copy = onnx.ModelProto.FromString(user.proto.SerializeToString())
    result = prepare(user, run)
    assert user.proto == copy
    return result


def test_the_normal_form_computes_the_same(tmp_path):
    before = residual_net()
    after = ir.to_proto(prepared(before, tmp_path).model)
    onnx.checker.check_model(after, full_check=True)
    before.graph.node[3].name = "second"  # the runtime refuses two nodes of one name
    assert_same_outputs(before, after)


def test_every_user_node_is_there_or_has_a_fate(tmp_path):
    result = prepared(residual_net(), tmp_path)
    assert list(result.user_nodes) == [
        *("stem", "bn1", "c", "stem#2", "d2", "bn2", "add", "six", "zero", "clip", "mean", "i", "dead", "fc", "out")
    ]
    left = [n.name for n in result.model.graph]
    assert left == ["stem", "c", "stem#2", "add", "clip", "mean", "fc"]
    assert set(result.fates) == set(result.user_nodes) - set(left)
    assert {name: (fate.role, fate.into) for name, fate in result.fates.items()} == {
        "bn1": ("folded", "stem"),
        "d2": ("pass_through", "stem#2"),
        "bn2": ("folded", "stem#2"),
        "six": ("folded", None),
        "zero": ("folded", None),
        "i": ("pass_through", "mean"),
        "dead": ("folded", None),
        "out": ("pass_through", "fc"),
    }
    assert result.value_names == {"i": "h", "j": "y"}


def test_notes_say_what_was_found(tmp_path):
    codes = [note.code for note in prepared(residual_net(), tmp_path).notes]
    assert codes == ["opset-converted", "unused-nodes"]


def test_preparing_twice_gives_the_same_bytes(tmp_path):
    before = residual_net()
    one, two = (ir.to_proto(prepared(before, tmp_path).model).SerializeToString(deterministic=True) for _ in range(2))
    assert one == two


def test_constants_are_initializers_and_shapes_are_known(tmp_path):
    result = prepared(residual_net(), tmp_path)
    assert result.model.opset_imports[""] == 21
    assert [value.name for value in result.model.graph.inputs] == ["x"]
    for made in result.model.graph:
        roots = [value for value in made.inputs if value is not None and value.producer() is None]
        assert all(value.is_initializer() or value.name == "x" for value in roots)
        assert made.outputs[0].shape is not None


@pytest.mark.parametrize("opset", [9, 13, 17, 21, 24])
def test_all_opsets_end_in_one_form(tmp_path, opset):
    nodes = [node("Conv", "x w", "c", "c"), node("Relu", "c", "y", "r")]
    before = model(nodes, ["x[N,3,4,4]"], ["y[N,2,4,4]"], {"w": RNG.normal(size=(2, 3, 1, 1))}, opset=opset)
    result = prepared(before, tmp_path)
    assert result.model.opset_imports[""] == max(21, opset)
    assert_same_outputs(before, ir.to_proto(result.model))


def test_shared_weights_are_reported_not_copied(tmp_path):
    nodes = [conv("c1", "x", "t", weight="w"), conv("c2", "t", "y", weight="w")]
    before = model(nodes, ["x[N,3,4,4]"], ["y[N,3,4,4]"], {"w": RNG.normal(size=(3, 3, 1, 1))})
    result = prepared(before, tmp_path)
    (note,) = [note for note in result.notes if note.code == "shared-weights"]
    assert note.nodes == ("c1", "c2")
    assert list(result.model.graph.initializers) == ["w"]


def test_subgraphs_stay_and_are_reported(tmp_path):
    body = graph([node("Mul", "t w", "b")], [], ["b[N,2]"])
    nodes = [node("Neg", "x", "t", "n"), node("If", "c", "y", "choose", then_branch=body, else_branch=body)]
    before = model(nodes, ["x[N,2]", "c:bool[]"], ["y[N,2]"], {"w": np.arange(2.0)})
    result = prepared(before, tmp_path)
    assert [n.name for n in result.model.graph] == ["n", "choose"]
    assert result.notes[0].nodes == ("choose",)
    assert_same_outputs(before, ir.to_proto(result.model))


def test_local_functions_are_expanded_before_the_opset_is_lifted(tmp_path):
    body = [node("ReduceMean", "a", "b", "mean", axes=[1], keepdims=1)]
    imports = [onnx.helper.make_opsetid("", 13)]
    function = onnx.helper.make_function("pkg", "Pool", ["a"], ["b"], body, imports)
    nodes = [node("Pool", "x", "t", "pool", domain="pkg"), node("Relu", "t", "y", "r")]
    before = model(nodes, ["x[N,4]"], ["y[N,1]"], opset=13, functions=[function], domains={"pkg": 1})
    result = prepared(before, tmp_path)
    assert [n.name for n in result.model.graph] == ["pool/mean", "r"]
    assert result.fates["pool"].into == "pool/mean"
    assert_same_outputs(before, ir.to_proto(result.model))


def test_wrong_sizes_in_the_file_mislead_nobody(tmp_path):
    nodes = [node("Neg", "x", "t", "n"), node("Reshape", "t s", "y", "r")]
    before = model(nodes, ["x[N,2,3]"], ["y"], {"s": np.array([0, 3, 2])})
    before.graph.value_info.append(value("t[N,3,2]"))
    result = prepared(before, tmp_path)
    assert [n.name for n in result.model.graph] == ["n", "r"]
    assert_same_outputs(before, ir.to_proto(result.model))


def test_large_weights_are_kept_without_change(tmp_path):
    weight = RNG.normal(size=(64, 64)).astype(np.float32)
    before = model([node("MatMul", "x w", "y", "m")], ["x[N,64]"], ["y[N,64]"], {"w": weight}, opset=13)
    result = prepared(before, tmp_path)
    assert np.array_equal(result.model.graph.initializers["w"].const_value.numpy(), weight)


def test_float_models_have_no_fixed_scales(tmp_path):
    result = prepared(residual_net(), tmp_path)
    assert not result.was_quantized
    assert not result.fixed.activations
    assert not result.fixed.weights
