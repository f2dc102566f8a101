"""The delivered ort_quantize.py runs on ordinary networks, and its model computes what the delivered one does."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tests.builders import graph, model, node, save
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files

RNG = np.random.default_rng(0)
SQUARE, KERNEL = RNG.normal(0, 0.3, (16, 16)), RNG.normal(0, 0.3, (8, 3, 3, 3))
PICTURE = "x[N,3,8,8]"


def gemm(bias=None, **attributes):
    constants = {"w": SQUARE, **({} if bias is None else {"c": bias})}
    nodes = [
        node("Gemm", "x w" + (" c" if "c" in constants else ""), "a", "g", **attributes),
        node("Relu", "a", "y", "r"),
    ]
    return model(nodes, ["x[N,16]"], ["y[N,16]"], constants)


def masked():
    """Attention whose mask is an infinity."""
    nodes = [
        node("MatMul", "x w", "q", "q"),
        node("Transpose", "x", "t", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "s", "s"),
        node("Less", "s zero", "m", "m"),
        node("Where", "m s neg", "h", "h"),
        node("Softmax", "h", "p", "p", axis=-1),
        node("MatMul", "p x", "y", "pv"),
    ]
    constants = {"w": SQUARE * 0.3, "neg": np.float32(-np.inf), "zero": np.float32(2.0)}
    return model(nodes, ["x[N,4,16]"], ["y[N,4,16]"], constants)


def branches():
    bodies = [graph([node("Mul", f"f {k}", f"{k}o", k)], [], [f"{k}o"]) for k in ("one", "two")]
    nodes = [
        node("Conv", "x w", "f", "conv", pads=[1] * 4),
        node("ReduceMean", "f", "mean", "mean", keepdims=0),
        node("Greater", "mean zero", "c", "c"),
        node("If", "c", "z", "if", then_branch=bodies[0], else_branch=bodies[1]),
        node("GlobalAveragePool", "z", "y", "pool"),
    ]
    constants = {"w": KERNEL, "zero": np.float32(0), "one": np.float32(1), "two": np.float32(2)}
    return model(nodes, ["x[1,3,8,8]"], ["y[1,8,1,1]"], constants)


def transposed(groups):
    nodes = [
        node("Conv", "x w", "f", "conv", pads=[1] * 4),
        node("ConvTranspose", "f v b", "t", "up", strides=[2, 2], group=groups),
        node("GlobalAveragePool", "t", "y", "pool"),
    ]
    constants = {"w": KERNEL, "v": RNG.normal(0, 0.3, (8, 8 // groups, 2, 2)), "b": RNG.normal(size=8)}
    return model(nodes, [PICTURE], ["y[N,8,1,1]"], constants)


def named(*, value, convolution, weight):
    """Names that quantizers make themselves."""
    nodes = [
        node("Conv", ["x", weight], "c", convolution, pads=[1] * 4),
        node("Relu", "c", value, f"{value}_QuantizeLinear"),
        node("GlobalAveragePool", value, "y", "y"),
    ]
    return model(nodes, [PICTURE], ["y[N,8,1,1]"], {weight: KERNEL})


NETWORKS = {
    "alpha and beta": gemm(RNG.normal(size=16), alpha=2.0, beta=0.5),
    "alpha without a bias": gemm(alpha=0.25, transB=1),
    "a bias of one number": gemm(np.array([0.5])),
    "a bias without axes": gemm(np.array(0.5), beta=2.0),
    "a bias of one row": gemm(RNG.normal(size=(1, 16))),
    "a mask of infinities": masked(),
    "bodies of an If": branches(),
    "ConvTranspose in groups": transposed(2),
    "ConvTranspose per channel": transposed(8),
    "x_scale": named(value="x_scale", convolution="w_DequantizeLinear", weight="w"),
    "plain names": named(value="v1", convolution="n0", weight="v0_scale"),
    "zero points": named(value="x_zero_point", convolution="x_QuantizeLinear", weight="c_quantized"),
}


def first_input(proto, n=24):
    shape = [dim.dim_value or n for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    shape[0] = n
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def outputs(path, x, step):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": x[i : i + step]})[0] for i in range(0, len(x), step)])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_script_makes_the_delivered_model(tmp_path, name):
    proto = NETWORKS[name]
    x = first_input(proto)
    for role in ("c", "e"):
        np.savez(tmp_path / f"{role}.npz", x=x)
    files = Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")
    memory = MemoryRun(local_problem(files, target="ort-cpu", goal=[{"metric": "sqnr_db", "min_value": 5.0}]))
    delivered = memory.files(memory.run())
    for path in ("ort_quantize.py", "ort_overrides.json", "ort_float.onnx", "model.qdq.onnx"):
        (tmp_path / path).write_bytes(delivered[path])
    run = subprocess.run(
        [sys.executable, "ort_quantize.py", "--output", "made.onnx"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    made = onnx.load(tmp_path / "made.onnx")
    assert {one.name for one in proto.graph.node if one.op_type != "Gemm"} <= {one.name for one in made.graph.node}
    step = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value or len(x)
    reference, found = (outputs(str(tmp_path / path), x, step) for path in ("model.qdq.onnx", "made.onnx"))
    error, size = np.square(found - reference).sum(), np.square(reference).sum()
    assert error <= 1e-3 * size, 10 * np.log10(size / error)
