"""Dynamic quantization by the runtime's own tool."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest

from search.errors import UnsupportedModelError
from search.runtime import dynamic
from search.runtime.dynamic import dynamically_quantized
from search.runtime.session import Level, Session
from tests.builders import conv, model, node


def products() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    nodes = [node("MatMul", "x w1", "a", "m1"), node("Relu", "a", "r", "relu"), node("MatMul", "r w2", "y", "m2")]
    return model(nodes, ["x[N,16]"], ["y[N,4]"], {"w1": rng.normal(size=(16, 32)), "w2": rng.normal(size=(32, 4))})


@pytest.mark.parametrize("reduce_range", [False, True])
def test_products_get_integer_weights_and_stay_close(reduce_range: bool) -> None:
    feeds = {"x": np.random.default_rng(1).normal(size=(64, 16)).astype(np.float32)}
    data = dynamically_quantized(products(), reduce_range=reduce_range)
    found = onnx.load_from_string(data).graph
    assert sum(one.op_type == "MatMulInteger" for one in found.node) == 2
    weights = [onnx.numpy_helper.to_array(one) for one in found.initializer if one.data_type == onnx.TensorProto.INT8]
    limit = 64 if reduce_range else 127
    assert max(np.abs(one.astype(int)).max() for one in weights if one.size > 1) <= limit
    exact = Session(products(), level=Level.DEPLOYED).run(feeds)["y"]
    got = Session(data, level=Level.DEPLOYED).run(feeds)["y"]
    assert 0.0 < np.abs(got - exact).max() < 0.1 * np.abs(exact).max()


def test_what_has_no_products_is_refused() -> None:
    rng = np.random.default_rng(0)
    proto = model(
        [conv("c", "x", "y", weight="w")], ["x[N,1,8,8]"], ["y[N,2,6,6]"], {"w": rng.normal(size=(2, 1, 3, 3))}
    )
    with pytest.raises(UnsupportedModelError, match="finds nothing to quantize"):
        dynamically_quantized(proto, reduce_range=False)


def test_what_the_tool_cannot_take_is_refused_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = products()
    broken.graph.initializer[0].raw_data = b"\0" * 3
    with pytest.raises(UnsupportedModelError, match=r"quantizer failed \(\w+\)"):
        dynamically_quantized(broken, reduce_range=False)
    monkeypatch.setattr(dynamic, "MOST_BYTES", 100)
    with pytest.raises(UnsupportedModelError, match="models up to"):
        dynamically_quantized(products(), reduce_range=False)


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        dynamically_quantized(products(), reduce_range=False)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert logging.root.manager.disable == 0
