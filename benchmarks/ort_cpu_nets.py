"""Six networks at real size with random weights, and data for them: what ``benchmarks.ort_cpu`` times beside the cases.

No training, so their goal is likeness to float: the cosine of the outputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from benchmarks.latency_models import Net, transformer

COSINE = 0.99
N_CALIBRATION, N_EVALUATION = 16, 32


def resnet(net: Net, *, blocks: tuple[int, ...], size: int = 224) -> onnx.ModelProto:
    """Residual network of basic blocks: 18 layers with two of each."""
    x = net.op("Relu", net.conv("x", 3, 64, 7, stride=2))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, count in enumerate(blocks):
        wide = 64 * 2**stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            y = net.conv(net.conv_relu(x, channels, wide, stride=stride), wide, wide)
            short = x if stride == 1 and channels == wide else net.conv(x, channels, wide, 1, stride=stride)
            x, channels = net.op("Relu", net.op("Add", y, short)), wide
    net.head(x, channels)
    return net.model(3, size, size)


def mobilenet(net: Net, *, activation: str, gated: bool, size: int = 224) -> onnx.ModelProto:
    """Inverted residuals: of the second generation with Relu, of the third with HardSwish and channel gates."""
    x, channels = net.op(activation, net.conv("x", 3, 16, stride=2)), 16
    for n_out, stride in ((16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1), (112, 1), (160, 2), (160, 1)):
        wide = 4 * channels
        y = net.op(activation, net.conv(x, channels, wide, 1))
        y = net.op(activation, net.conv(y, wide, wide, groups=wide, stride=stride))
        y = _gate(net, y, wide) if gated else y
        y = net.conv(y, wide, n_out, 1)
        x = net.op("Add", y, x) if stride == 1 and n_out == channels else y
        channels = n_out
    net.head(net.op(activation, net.conv(x, channels, 640, 1)), 640)
    return net.model(3, size, size)


def _gate(net: Net, x: str, channels: int) -> str:
    z = net.conv_relu(net.op("GlobalAveragePool", x), channels, channels // 4, 1)
    return net.op("Mul", x, net.op("HardSigmoid", net.conv(z, channels // 4, channels, 1)))


def lstm(net: Net, *, tokens: int, width: int, hidden: int) -> onnx.ModelProto:
    """Two layers over a sequence, and a classifier on the last state."""
    x = net.op("Transpose", "x", perm=[1, 0, 2])
    for layer in range(2):
        n_in = hidden if layer else width
        weights = net.weights(1, 4 * hidden, n_in, fan=2 * n_in), net.weights(1, 4 * hidden, hidden, fan=2 * hidden)
        x = net.op("LSTM", x, *weights, net.weights(1, 8 * hidden, fan=200), hidden_size=hidden)
        x = net.op("Squeeze", x, net.constant(np.array([1], np.int64)))
    last = net.op("Gather", x, net.constant(np.array(tokens - 1, np.int64)), axis=0)
    net.op("Gemm", last, net.weights(hidden, 10, fan=hidden), net.weights(10, fan=50), output="y")
    return net.model(tokens, width)


NETS: dict[str, tuple[Callable[[Net], onnx.ModelProto], tuple[int, ...]]] = {
    "resnet18_224": (partial(resnet, blocks=(2, 2, 2, 2)), (3, 224, 224)),
    "resnet10_128": (partial(resnet, blocks=(1, 1, 1, 1), size=128), (3, 128, 128)),
    "mobilenet_v2_224": (partial(mobilenet, activation="Relu", gated=False), (3, 224, 224)),
    "mobilenet_v3_224": (partial(mobilenet, activation="HardSwish", gated=True), (3, 224, 224)),
    "vit_small": (partial(transformer, width=192, tokens=196, layers=6, heads=3), (196, 32)),
    "lstm": (partial(lstm, tokens=64, width=64, hidden=256), (64, 64)),
}


def write_net(folder: Path, name: str, *, seed: int = 0) -> dict[str, object]:
    """Write one network with its data; return its job."""
    make, shape = NETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(make(Net(seed)), folder / "model.onnx")
    rng = np.random.default_rng(seed + 1)
    for part, n in (("calib", N_CALIBRATION), ("eval", N_EVALUATION)):
        loud = rng.uniform(0.3, 1.5, (n, *[1] * len(shape)))
        np.savez(folder / f"{part}.npz", x=(loud * rng.normal(size=(n, *shape))).astype(np.float32))
    job: dict[str, object] = {
        "schema": "bitbudget.job/1",
        "model": str(folder / "model.onnx"),
        "data": {"calibration": str(folder / "calib.npz"), "evaluation": str(folder / "eval.npz")},
        "target": {"name": "ort-cpu"},
        "goal": [{"metric": "cosine", "min_value": COSINE}],
    }
    (folder / "job.json").write_text(json.dumps(job))
    return job
