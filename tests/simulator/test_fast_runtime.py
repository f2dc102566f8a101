"""What the runtime must leave alone, and the benchmark that prints what the fast way costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from search.runtime.session import Level, Session
from tests.docs.pages import ROOT


def test_the_integer_level_keeps_a_factor_behind_a_convolution_where_it_stands() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (16, 16, 3, 3)).astype(np.float32)
    factor = np.float32(1 / 3)
    x = rng.integers(-128, 128, (1, 16, 8, 8)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["acc"]), helper.make_node("Mul", ["acc", "f"], ["y"])],
        "scaled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.asarray(factor), "f")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    exact = np.einsum("ncijkl,mckl->nmij", patches.astype(np.int64), weights.astype(np.int64)).astype(np.float32)
    found = {level: Session(model, level=level).run({"x": x})["y"] for level in (Level.INTEGER, Level.PINNED)}
    np.testing.assert_array_equal(found[Level.INTEGER], exact * factor)
    assert np.any(found[Level.PINNED] != exact * factor)  # the factor went into the weights: no integers any more


def test_the_benchmark_prints_multiples_of_float_for_the_example() -> None:
    command = [sys.executable, "-m", "benchmarks.simulator", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    for title in ("model examples/digits", "a8w8", "a16w8", "a16w16", "reference, a8w8"):
        assert f"{title} " in line
