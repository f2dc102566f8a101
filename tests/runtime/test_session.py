from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from search.errors import UnsupportedModelError
from search.runtime.session import Level, Session, versions
from tests.builders import model, node


def relu(**change):
    return model([node(change.get("op_type", "Relu"), "x", "y", "op")], ["x[N,3]"], ["y[N,3]"])


@pytest.mark.parametrize("level", list(Level))
def test_a_model_or_its_bytes_run_at_every_level(level):
    x = np.array([[-1, 0, 2]], np.float32)
    for given in (relu(), relu().SerializeToString()):
        session = Session(given, level=level)
        assert (session.inputs, session.outputs) == (("x",), ("y",))
        np.testing.assert_array_equal(session.run({"x": x})["y"], [[0, 0, 2]])


def test_only_the_outputs_asked_for_come_back():
    two = model([node("Relu", "x", "y"), node("Neg", "x", "z")], ["x[N,3]"], ["y[N,3]", "z[N,3]"])
    session = Session(two, level=Level.PLAIN)
    x = np.ones((1, 3), np.float32)
    assert list(session.run({"x": x}, ["z"])) == ["z"]
    assert list(session.run({"x": x}, [])) == []


def test_a_number_without_axes_goes_in():
    scalar = model([node("Add", "x s", "y")], ["x[N,3]", "s[]"], ["y[N,3]"])
    got = Session(scalar, level=Level.PLAIN).run({"x": np.ones((1, 3), np.float32), "s": np.float32(2)})
    np.testing.assert_array_equal(got["y"], [[3, 3, 3]])


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE], ids=["float", "double"])
def test_a_cast_between_a_transpose_and_a_product_does_not_end_the_process(level, kind):
    # The runtime's own fusion looks through the Cast and dies while loading.
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("Cast", "t", "c", to=kind),
        node("Cast", "w", "v", to=kind),
        node("MatMul", "c v", "m"),
        node("Cast", "m", "y", to=TensorProto.FLOAT),
    ]
    weights = np.arange(8).reshape(4, 2)
    proto = model(nodes, ["x:int64[2,3,4]"], ["y[3,2,2]"], {"w": weights})
    x = np.arange(24).reshape(2, 3, 4)
    got = Session(proto, level=level).run({"x": x})["y"]
    np.testing.assert_array_equal(got, np.swapaxes(x, 0, 1) @ weights)


@pytest.mark.parametrize("given", [b"", b"no model", relu(op_type="NoSuchOperator")], ids=["empty", "text", "unknown"])
def test_what_the_runtime_cannot_load_is_an_error_with_its_reason(given):
    with pytest.raises(UnsupportedModelError, match=r"(E|e)xport (it|the model) again"):
        Session(given, level=Level.PLAIN)


@pytest.mark.parametrize("x", [np.ones((1, 4), np.float32), np.ones((1, 3), np.float64)], ids=["shape", "type"])
def test_inputs_that_do_not_fit_are_an_error_that_names_them(x):
    with pytest.raises(UnsupportedModelError, match=r"does not take x float\d\d\[1, \d\]"):
        Session(relu(), level=Level.PLAIN).run({"x": x})


def test_a_missing_input_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="'x'"):
        Session(relu(), level=Level.PLAIN).run({})


def test_the_pinned_level_rounds_where_the_graph_says_so():
    # Deployed, the runtime fuses Q, DQ and the Conv between them into integer kernels; pinned, every rounding stays.
    rng = np.random.default_rng(0)
    constants = {
        "s": np.float32(0.05),
        "z": np.int8(0),
        "wq": rng.integers(-127, 128, (4, 3, 3, 3), np.int8),
        "ws": np.full(4, 0.01, np.float32),
        "wz": np.zeros(4, np.int8),
    }
    nodes = [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "wq ws wz", "w", axis=0),
        node("Conv", "xd w", "c"),
        node("QuantizeLinear", "c s z", "yq"),
        node("DequantizeLinear", "yq s z", "y"),
    ]
    proto = model(nodes, ["x[N,3,8,8]"], ["y[N,4,6,6]"], constants, opset=21)
    x = rng.normal(size=(2, 3, 8, 8)).astype(np.float32)
    pinned = Session(proto, level=Level.PINNED).run({"x": x})["y"]
    plain = Session(proto, level=Level.PLAIN).run({"x": x})["y"]
    assert np.mean(pinned != plain) < 0.01
    np.testing.assert_allclose(pinned, plain, atol=0.051)
    np.testing.assert_allclose(pinned / np.float32(0.05), np.rint(pinned / np.float32(0.05)), atol=1e-4)


def test_the_libraries_that_decide_a_result_are_named():
    assert set(versions()) == {"onnxruntime", "onnx", "numpy"}
