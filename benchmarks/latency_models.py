"""Networks with random weights for timing: eight families that differ in their kernels; no training, no data.

``write_models(folder)`` writes one ``.onnx`` per entry of ``MODELS``; the batch is open, everything else fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A network under construction; methods take and return value names."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, *shape: int, fan: int) -> str:
        return self.constant((self._rng.normal(size=shape) * np.sqrt(2 / fan)).astype(np.float32))

    def op(self, op_type: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = f"{op_type.lower()}{len(self._nodes)}"
        output = output or f"{name}_out"
        self._nodes.append(helper.make_node(op_type, list(inputs), [output], name=name, **attributes))
        return output

    def conv(self, x: str, n_in: int, n_out: int, size: int = 3, *, groups: int = 1, stride: int = 1) -> str:
        fan = n_in // groups * size * size
        weight, bias = self.weights(n_out, n_in // groups, size, size, fan=fan), self.weights(n_out, fan=200)
        shape = {"kernel_shape": [size, size], "pads": [size // 2] * 4, "strides": [stride, stride]}
        return self.op("Conv", x, weight, bias, group=groups, **shape)

    def conv_relu(self, x: str, n_in: int, n_out: int, size: int = 3, *, stride: int = 1) -> str:
        return self.op("Relu", self.conv(x, n_in, n_out, size, stride=stride))

    def linear(self, x: str, n_in: int, n_out: int) -> str:
        return self.op(
            "Add", self.op("MatMul", x, self.weights(n_in, n_out, fan=2 * n_in)), self.weights(n_out, fan=99)
        )

    def halved(self, x: str) -> str:
        return self.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def head(self, x: str, channels: int) -> None:
        flat = self.op("Flatten", self.op("GlobalAveragePool", x))
        self.op("Gemm", flat, self.weights(channels, 10, fan=channels), self.weights(10, fan=50), output="y")

    def model(self, *shape: int) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph(self._nodes, "net", [x], [y], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def plain(net: Net, *, channels: int, size: int, stages: int) -> onnx.ModelProto:
    """3x3 convolutions and pooling."""
    x, c = net.conv_relu("x", 3, channels), channels
    for _ in range(stages):
        x = net.conv_relu(net.conv_relu(x, c, c), c, 2 * c)
        x, c = net.halved(x), 2 * c
    net.head(x, c)
    return net.model(3, size, size)


def residual(net: Net, *, channels: int, size: int, blocks: int) -> onnx.ModelProto:
    """Two 3x3 convolutions and a sum."""
    x = net.conv_relu("x", 3, channels)
    for _ in range(blocks):
        y = net.conv(net.conv_relu(x, channels, channels), channels, channels)
        x = net.op("Relu", net.op("Add", y, x))
    net.head(x, channels)
    return net.model(3, size, size)


def bottleneck(net: Net, *, channels: int, inner: int, size: int, blocks: int) -> onnx.ModelProto:
    """1x1, 3x3, 1x1 and a sum."""
    x = net.conv_relu("x", 3, channels)
    for _ in range(blocks):
        y = net.conv_relu(net.conv_relu(x, channels, inner, 1), inner, inner)
        x = net.op("Relu", net.op("Add", net.conv(y, inner, channels, 1), x))
    net.head(x, channels)
    return net.model(3, size, size)


def inverted(net: Net, *, channels: int, size: int, blocks: int, activation: str) -> onnx.ModelProto:
    """1x1 up, depthwise 3x3, 1x1 down and a sum."""
    wide = 6 * channels
    x = net.conv("x", 3, channels)
    for _ in range(blocks):
        y = net.op(activation, net.conv(x, channels, wide, 1))
        y = net.op(activation, net.conv(y, wide, wide, groups=wide))
        x = net.op("Add", net.conv(y, wide, channels, 1), x)
    net.head(x, channels)
    return net.model(3, size, size)


def dense(net: Net, *, channels: int, growth: int, size: int, blocks: int) -> onnx.ModelProto:
    """Every block reads all before it."""
    x = net.conv_relu("x", 3, channels)
    for _ in range(blocks):
        x = net.op("Concat", x, net.conv_relu(x, channels, growth), axis=1)
        channels += growth
    net.head(x, channels)
    return net.model(3, size, size)


def gated(net: Net, *, channels: int, size: int, blocks: int) -> onnx.ModelProto:
    """SiLU, and channels weighed by a small network of their means."""
    x = net.conv_relu("x", 3, channels)
    for _ in range(blocks):
        y = net.conv(x, channels, channels)
        y = net.op("Mul", y, net.op("Sigmoid", y))
        z = net.conv_relu(net.op("GlobalAveragePool", y), channels, channels // 4, 1)
        z = net.op("Sigmoid", net.conv(z, channels // 4, channels, 1))
        x = net.op("Add", x, net.op("Mul", y, z))
    net.head(x, channels)
    return net.model(3, size, size)


def encoder_decoder(net: Net, *, channels: int, size: int) -> onnx.ModelProto:
    """Down, up again, with what was left on the way."""
    c, scales = channels, net.constant(np.array([1, 1, 2, 2], np.float32))
    a = net.conv_relu(net.conv_relu("x", 3, c), c, c)
    b = net.conv_relu(net.conv_relu(net.halved(a), c, 2 * c), 2 * c, 2 * c)
    x = net.op("AveragePool", b, kernel_shape=[2, 2], strides=[2, 2])
    x = net.conv_relu(net.conv_relu(x, 2 * c, 4 * c), 4 * c, 4 * c)
    x = net.op("Concat", net.op("Resize", x, "", scales, mode="nearest"), b, axis=1)
    x = net.conv_relu(net.conv_relu(x, 6 * c, 2 * c), 2 * c, 2 * c)
    x = net.op("Concat", net.op("Resize", x, "", scales, mode="nearest"), a, axis=1)
    x = net.conv_relu(net.conv_relu(x, 3 * c, c), c, c)
    net.op("Conv", x, net.weights(4, c, 1, 1, fan=c), output="y")
    return net.model(3, size, size)


def transformer(net: Net, *, width: int, tokens: int, layers: int, heads: int) -> onnx.ModelProto:
    """Attention and a GELU network, both behind a LayerNormalization."""
    x = net.linear("x", 32, width)
    for _ in range(layers):
        x = net.op("Add", x, _attention(net, _normal(net, x, width), width, tokens, heads))
        h = net.linear(_normal(net, x, width), width, 4 * width)
        x = net.op("Add", x, net.linear(_gelu(net, h), 4 * width, width))
    net.op("ReduceMean", x, output="y", axes=[1], keepdims=0)
    return net.model(tokens, 32)


def _normal(net: Net, x: str, width: int) -> str:
    gamma, beta = net.constant(np.ones(width, np.float32)), net.constant(np.zeros(width, np.float32))
    return net.op("LayerNormalization", x, gamma, beta, axis=-1)


def _attention(net: Net, x: str, width: int, tokens: int, heads: int) -> str:
    split = net.constant(np.array([0, tokens, heads, width // heads], np.int64))
    q, k, v = (net.op("Reshape", net.linear(x, width, width), split) for _ in range(3))
    q, v = (net.op("Transpose", one, perm=[0, 2, 1, 3]) for one in (q, v))
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 3, 1]))
    scores = net.op("Mul", scores, net.constant(np.float32(np.sqrt(heads / width))))
    mixed = net.op("Transpose", net.op("MatMul", net.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    joined = net.op("Reshape", mixed, net.constant(np.array([0, tokens, width], np.int64)))
    return net.linear(joined, width, width)


def _gelu(net: Net, x: str) -> str:
    erf = net.op("Erf", net.op("Div", x, net.constant(np.float32(np.sqrt(2)))))
    half = net.op("Mul", x, net.op("Add", erf, net.constant(np.float32(1))))
    return net.op("Mul", half, net.constant(np.float32(0.5)))


MODELS: dict[str, Callable[[Net], onnx.ModelProto]] = {
    "plain": partial(plain, channels=24, size=64, stages=3),
    "residual": partial(residual, channels=48, size=40, blocks=5),
    "residual_wide": partial(residual, channels=96, size=20, blocks=4),
    "bottleneck": partial(bottleneck, channels=192, inner=48, size=32, blocks=6),
    "inverted": partial(inverted, channels=24, size=56, blocks=5, activation="Relu"),
    "inverted_hardswish": partial(inverted, channels=40, size=40, blocks=4, activation="HardSwish"),
    "dense": partial(dense, channels=48, growth=40, size=36, blocks=6),
    "gated": partial(gated, channels=56, size=44, blocks=4),
    "encoder_decoder": partial(encoder_decoder, channels=28, size=72),
    "transformer": partial(transformer, width=160, tokens=80, layers=4, heads=4),
    "transformer_long": partial(transformer, width=128, tokens=160, layers=3, heads=4),
}


def write_models(folder: Path, *, seed: int = 0) -> list[Path]:
    """Write every model into ``folder``; return the paths."""
    paths = []
    for position, (name, make) in enumerate(MODELS.items()):
        paths.append(folder / f"{name}.onnx")
        onnx.save(make(Net(seed + position)), paths[-1])
    return paths
