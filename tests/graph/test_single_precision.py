"""float16 and float64 models in float32: every weight kept, the ends as they were."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from search.graph.load import read_model
from search.graph.single_precision import bring_to_float32
from tests.builders import model, node, run, save

HALF = TensorProto.FLOAT16


def _half(
    nodes: list[onnx.NodeProto], inputs: list[str], outputs: list[str], **weights: npt.NDArray[np.generic]
) -> onnx.ModelProto:
    return model(nodes, inputs, outputs, weights, opset=17)


def test_a_float16_model_keeps_its_ends_and_its_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 8)).astype(np.float16)
    proto = _half(
        [node("MatMul", "x w", "m", "mm"), node("Relu", "m", "y", "r")], ["x:float16[N,4]"], ["y:float16[N,8]"], w=w
    )

    user = read_model(save(proto, tmp_path))

    assert [(value.name, value.dtype) for value in (*user.inputs, *user.outputs)] == [
        ("x", "float16"),
        ("y", "float16"),
    ]
    assert {t.data_type for t in user.proto.graph.initializer} == {TensorProto.FLOAT}
    assert [one.op_type for one in user.proto.graph.node] == ["Cast", "MatMul", "Relu", "Cast"]
    assert [note.code for note in user.notes] == ["float16-model"]
    x = rng.normal(size=(3, 4)).astype(np.float16)
    exact = np.maximum(x.astype(np.float64) @ w.astype(np.float64), 0)
    np.testing.assert_allclose(run(user.proto, {"x": x})["y"], exact.astype(np.float16), rtol=1e-3)


def test_every_float16_value_is_kept_exactly() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    proto = _half([node("Add", "x w", "y", "a")], ["x:float16[1]"], ["y:float16"], w=finite)
    bring_to_float32(proto)
    kept = numpy_helper.to_array(proto.graph.initializer[0])
    assert kept.dtype == np.float32
    assert np.array_equal(kept.astype(np.float64), finite.astype(np.float64))


def test_half_precision_inside_goes_away() -> None:
    nodes = [
        node("Cast", "x", "h", "to16", to=HALF),
        node("Mul", "h k", "m", "mul"),
        node("Cast", "m", "y", "to32", to=1),
    ]
    proto = _half(nodes, ["x[N,4]"], ["y[N,4]"], k=np.array(0.1, np.float16))
    assert len(bring_to_float32(proto)) == 1
    x = np.array([[1.0001, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(run(proto, {"x": x})["y"], x * np.float32(np.float16(0.1)))


def test_float16_in_subgraphs_reads_what_is_inside() -> None:
    then = helper.make_graph(
        [node("Mul", "x k", "t", "m")],
        "t",
        [],
        [helper.make_tensor_value_info("t", HALF, None)],
        [numpy_helper.from_array(np.array(2, np.float16), "k")],
    )
    other = helper.make_graph([node("Neg", "x", "e", "n")], "e", [], [helper.make_tensor_value_info("e", HALF, None)])
    proto = _half(
        [node("If", "c", "y", "if", then_branch=then, else_branch=other)],
        ["x:float16[N,2]", "c:bool[]"],
        ["y:float16[N,2]"],
    )
    before = onnx.ModelProto()
    before.CopyFrom(proto)
    bring_to_float32(proto)
    onnx.checker.check_model(proto)
    for condition in (True, False):
        feeds = {"x": np.array([[1, -2]], np.float16), "c": np.array(condition)}
        np.testing.assert_array_equal(run(proto, feeds)["y"], run(before, feeds)["y"])


def test_a_float32_model_is_left_alone() -> None:
    proto = model([node("Relu", "x", "y", "r")], ["x[N,4]"], ["y[N,4]"])
    before = proto.SerializeToString()
    assert bring_to_float32(proto) == ()
    assert proto.SerializeToString() == before


def test_float64_is_rounded_once_and_stays_where_it_does_not_fit() -> None:
    proto = _half([node("Mul", "x k", "y", "m")], ["x:float64[2]"], ["y:float64[2]"], k=np.array([0.1, 1e30]))
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([0.1, 1e30]), "k"))
    wide = onnx.ModelProto()
    wide.CopyFrom(proto)
    wide.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([0.1, 1e300]), "k"))
    assert [note.code for note in bring_to_float32(proto)] == ["float64-model"]
    assert numpy_helper.to_array(proto.graph.initializer[0])[0] == np.float32(0.1)
    assert bring_to_float32(wide) == ()


def test_a_model_that_is_only_an_interface_of_float16_stays_whole() -> None:
    proto = _half([node("Identity", "x", "y", "i")], ["x:float16[N,4]"], ["y:float16[N,4]"])
    bring_to_float32(proto)
    x = np.array([[1, 2, 3, 4]], np.float16)
    assert run(proto, {"x": x})["y"].dtype == np.float16


@pytest.mark.parametrize("kind", [TensorProto.BFLOAT16, TensorProto.INT4, TensorProto.FLOAT8E4M3FN])
def test_types_that_nothing_here_holds_are_refused_by_name(tmp_path: Path, kind: int) -> None:
    proto = model(
        [node("Cast", "x", "h", "down", to=kind), node("Cast", "h", "y", "up", to=1)], ["x[N,4]"], ["y[N,4]"], opset=21
    )
    name = TensorProto.DataType.Name(kind).lower()
    with pytest.raises(Exception, match=rf"The result of Cast 'down' is of type {name}.*(Export|Give)"):
        read_model(save(proto, tmp_path))
