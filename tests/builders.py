"""Small ONNX graphs in three lines, and ways to run and store them.

graph = model([conv("c", "x", "y", weight="w")], ["x:float32[N,3,8,8]"], ["y"], {"w": rng.normal(size=(4, 3, 3, 3))})
run(graph, {"x": x})["y"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

Node = onnx.NodeProto
_VALUE = re.compile(r"(?P<name>[^:\[]+)(:(?P<dtype>\w+))?(\[(?P<shape>[^\]]*)\])?$")


def value(text: str) -> onnx.ValueInfoProto:
    """Read ``name:dtype[d0,d1]``; dtype defaults to float32, ``N`` or ``?`` is an open size, no brackets: no shape."""
    match = _VALUE.match(text)
    assert match is not None, text
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(match["dtype"] or "float32"))
    if match["shape"] is None:
        return helper.make_tensor_value_info(match["name"], dtype, None)
    sizes = [size.strip() for size in match["shape"].split(",") if size.strip()]
    shape = [None if size == "?" else int(size) if size.lstrip("-").isdigit() else size for size in sizes]
    return helper.make_tensor_value_info(match["name"], dtype, shape)


def tensor(name: str, array: Any) -> onnx.TensorProto:
    """An initializer; float64 becomes float32, which is what random numbers are meant to be."""
    array = np.asarray(array)
    return numpy_helper.from_array(array.astype(np.float32) if array.dtype == np.float64 else array, name)


def graph(
    nodes: Sequence[Node],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    initializers: Mapping[str, Any] | None = None,
    name: str = "g",
) -> onnx.GraphProto:
    """A graph; inputs and outputs as in ``value``."""
    constants = [tensor(key, array) for key, array in (initializers or {}).items()]
    return helper.make_graph(list(nodes), name, [value(v) for v in inputs], [value(v) for v in outputs], constants)


def model(
    nodes: Sequence[Node],
    inputs: Sequence[str],
    outputs: Sequence[str],
    initializers: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model at ``opset``, with further operator sets in ``domains``."""
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, version) for domain, version in (domains or {}).items()]
    return helper.make_model(
        graph(nodes, inputs, outputs, initializers), opset_imports=imports, functions=list(functions), ir_version=10
    )


def node(op_type: str, inputs: str | Sequence[str], outputs: str | Sequence[str], name: str = "", **attrs: Any) -> Node:
    """A node; inputs and outputs as lists or as one text with spaces (``_`` leaves an optional input out)."""
    reads, writes = (
        [v if v != "_" else "" for v in (x.split() if isinstance(x, str) else x)] for x in (inputs, outputs)
    )
    return helper.make_node(op_type, reads, writes, name=name, **attrs)


def conv(name: str, x: str, y: str, *, weight: str, bias: str = "", op_type: str = "Conv", **attrs: Any) -> Node:
    """A Conv or ConvTranspose."""
    return helper.make_node(op_type, [v for v in (x, weight, bias) if v], [y], name=name, **attrs)


def batch_norm(name: str, x: str, y: str, stem: str, **attrs: Any) -> Node:
    """A BatchNormalization whose statistics are ``batch_norm_constants(stem, ...)``."""
    return node(
        "BatchNormalization", [x, *(f"{stem}.{part}" for part in ("gamma", "beta", "mean", "var"))], y, name, **attrs
    )


def batch_norm_constants(stem: str, channels: int, rng: np.random.Generator) -> dict[str, Any]:
    """Random statistics of a BatchNormalization."""
    return {
        f"{stem}.gamma": rng.uniform(0.5, 2, channels),
        f"{stem}.beta": rng.normal(size=channels),
        f"{stem}.mean": rng.normal(size=channels),
        f"{stem}.var": rng.uniform(0.1, 3, channels),
    }


def run(proto: onnx.ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Run a model on ONNX Runtime without graph optimization; return outputs by name."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def save(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model into ``folder`` and return its path."""
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def random_feeds(proto: onnx.ModelProto, rng: np.random.Generator, *, batch: int = 2) -> dict[str, Any]:
    """Random arrays for every input that is no initializer; open sizes are ``batch``."""
    constants = {t.name for t in proto.graph.initializer}
    feeds = {}
    for info in proto.graph.input:
        if info.name not in constants:
            kind = info.type.tensor_type
            shape = [d.dim_value if d.HasField("dim_value") else batch for d in kind.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
            spread = 1 if np.dtype(dtype).kind == "f" else 50
            feeds[info.name] = np.asarray(rng.normal(size=shape) * spread).astype(dtype)
    return feeds


def assert_same_outputs(
    before: onnx.ModelProto, after: onnx.ModelProto, *, seed: int = 0, tolerance: float = 1e-5, batch: int = 2
) -> None:
    """Run both on the same random inputs and compare names, shapes and values (relative to the largest value)."""
    feeds = random_feeds(before, np.random.default_rng(seed), batch=batch)
    expected, got = run(before, feeds), run(after, feeds)
    assert list(expected) == list(got)
    for name, array in expected.items():
        limit = tolerance * max(1e-30, float(np.abs(array.astype(np.float64)).max(initial=0)))
        np.testing.assert_allclose(got[name], array, rtol=0, atol=limit, err_msg=name)
        assert got[name].dtype == array.dtype
