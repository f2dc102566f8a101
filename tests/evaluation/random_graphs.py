"""Random small networks over pictures ``[N, C, 6, 6]``: every kind of operator, several readers, shared weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.builders import model, node

SIDE = 6


class Grower:
    """Adds one operator after the other; ``live`` values are ``(name, channels)``."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Any] = {}
        self.live: list[tuple[str, int]] = [("x", 3)]
        self.kinds: list[str] = []

    def add(self, op_type: str, inputs: str, **attrs: Any) -> str:
        """Append a node; return its output."""
        name = f"{op_type.lower()}_{len(self.nodes)}"
        out = f"v{len(self.nodes)}"
        self.nodes.append(node(op_type, inputs, out, name, **attrs))
        return out

    def constant(self, array: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = (
            array if isinstance(array, np.ndarray) and array.dtype != np.float64 else np.asarray(array)
        )
        return name

    def normal(self, *shape: int, spread: float = 0.4) -> str:
        return self.constant(self.rng.normal(0, spread, shape).astype(np.float32))

    def pick(self, channels: int | None = None) -> tuple[str, int]:
        fit = [one for one in self.live if channels is None or one[1] == channels]
        return fit[self.rng.integers(len(fit))]

    def grow(self, kind: str) -> None:
        """One more operator of this kind."""
        self.kinds.append(kind)
        value, channels = KINDS[kind](self, *self.pick())
        self.live.append((value, channels))


def _conv(g: Grower, x: str, c: int) -> tuple[str, int]:
    out = int(g.rng.integers(2, 5))
    bias = f" {g.normal(out)}" if g.rng.random() < 0.6 else ""
    y = g.add("Conv", f"{x} {g.normal(out, c, 3, 3)}{bias}", pads=[1, 1, 1, 1])
    if not bias and g.rng.random() < 0.6:
        y = g.add("Add", f"{y} {g.normal(out, 1, 1)}")
    same = [v for v, n in g.live if n == out]
    if same and g.rng.random() < 0.4:
        y = g.add("Add", f"{y} {same[g.rng.integers(len(same))]}")
    return (g.add("Relu", y) if g.rng.random() < 0.5 else y), out


def _shared_conv(g: Grower, x: str, c: int) -> tuple[str, int]:
    weight, bias = g.normal(c, c, 1, 1), g.normal(c)
    y = g.add("Tanh", g.add("Conv", f"{x} {weight} {bias}"))
    return g.add("Conv", f"{y} {weight} {bias}"), c


def _shared_across(g: Grower, x: str, c: int) -> tuple[str, int]:
    weight = g.normal(SIDE, SIDE)
    y = g.add("MatMul", f"{x} {weight}")
    z = g.add("MatMul", f"{weight} {g.add('Sigmoid', y)}")
    return g.add("Add", f"{z} {g.normal(SIDE)}"), c


def _depthwise(g: Grower, x: str, c: int) -> tuple[str, int]:
    return g.add("Conv", f"{x} {g.normal(c, 1, 3, 3)} {g.normal(c)}", pads=[1, 1, 1, 1], group=c), c


def _transposed(g: Grower, x: str, c: int) -> tuple[str, int]:
    group = 2 if c == 4 and g.rng.random() < 0.5 else 1
    y = g.add("ConvTranspose", f"{x} {g.normal(c, 2, 3, 3)} {g.normal(2 * group)}", pads=[1, 1, 1, 1], group=group)
    return y, 2 * group


def _gemm(g: Grower, x: str, c: int) -> tuple[str, int]:
    n = c * SIDE * SIDE
    flat = g.add("Flatten", x)
    y = g.add("Gemm", f"{flat} {g.normal(n, SIDE * SIDE, spread=0.1)} {g.normal(SIDE * SIDE)}", alpha=0.5)
    return g.add("Reshape", f"{y} {g.constant(np.array([-1, 1, SIDE, SIDE]))}"), 1


def _matmul(g: Grower, x: str, c: int) -> tuple[str, int]:
    other, _ = g.pick(c)
    turned = g.add("Transpose", other, perm=[0, 1, 3, 2])
    y = g.add("MatMul", f"{x} {turned}")
    return (g.add("Add", f"{y} {g.normal(SIDE)}") if g.rng.random() < 0.6 else y), c


def _linear(g: Grower, x: str, c: int) -> tuple[str, int]:
    y = g.add("MatMul", f"{x} {g.normal(SIDE, SIDE)}")
    return g.add("Add", f"{g.normal(SIDE)} {y}"), c


def _elementwise(g: Grower, x: str, c: int) -> tuple[str, int]:
    op_type = str(g.rng.choice(["Add", "Sub", "Mul"]))
    if g.rng.random() < 0.3:
        return g.add(op_type, f"{x} {g.normal(c, 1, 1)}"), c
    return g.add(op_type, f"{g.add('Sigmoid', x)} {g.pick(c)[0]}"), c


def _scalar(g: Grower, x: str, c: int) -> tuple[str, int]:
    return g.add("Mul", f"{x} {g.constant(np.float32(0.3))}"), c


def _concat(g: Grower, x: str, c: int) -> tuple[str, int]:
    other, n = g.pick()
    y = g.add("Concat", f"{x} {other}", axis=1)
    keep = min(c + n, 4)
    starts, ends, axes = (g.constant(np.array([v])) for v in (0, keep, 1))
    return g.add("Slice", f"{y} {starts} {ends} {axes}"), keep


def _pool(g: Grower, x: str, c: int) -> tuple[str, int]:
    op_type = str(g.rng.choice(["MaxPool", "AveragePool"]))
    return g.add(op_type, x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), c


def _softmax(g: Grower, x: str, c: int) -> tuple[str, int]:
    return g.add("Softmax", x, axis=-1), c


def _norm(g: Grower, x: str, c: int) -> tuple[str, int]:
    return g.add("LayerNormalization", f"{x} {g.normal(SIDE)} {g.normal(SIDE)}", axis=-1), c


def _unary(g: Grower, x: str, c: int) -> tuple[str, int]:
    return g.add(str(g.rng.choice(["Sigmoid", "Tanh", "HardSwish", "Erf", "LeakyRelu", "Relu"])), x), c


def _prelu(g: Grower, x: str, c: int) -> tuple[str, int]:
    return g.add("PRelu", f"{x} {g.normal(c, 1, 1)}"), c


def _resize(g: Grower, x: str, c: int) -> tuple[str, int]:
    mode = str(g.rng.choice(["linear", "nearest"]))
    scales = g.constant(np.array([1, 1, 2, 2], np.float32))
    return g.add("AveragePool", g.add("Resize", f"{x} _ {scales}", mode=mode), kernel_shape=[2, 2], strides=[2, 2]), c


def _grid_sample(g: Grower, x: str, c: int) -> tuple[str, int]:
    source, n = g.pick()
    field = g.add("Tanh", g.add("Conv", f"{source} {g.normal(2, n, 1, 1)}"))
    return g.add("GridSample", f"{x} {g.add('Transpose', field, perm=[0, 2, 3, 1])}", align_corners=1), c


def _recurrent(g: Grower, x: str, c: int) -> tuple[str, int]:
    op_type, gates = [("LSTM", 4), ("GRU", 3)][g.rng.integers(2)]
    rows = g.add("Reshape", f"{x} {g.constant(np.array([0, -1, SIDE]))}")
    first = g.add("Transpose", rows, perm=[1, 0, 2])
    weights = f"{g.normal(1, gates * SIDE, SIDE)} {g.normal(1, gates * SIDE, SIDE)} {g.normal(1, 2 * gates * SIDE)}"
    y = g.add(op_type, f"{first} {weights}", hidden_size=SIDE)
    y = g.add("Squeeze", f"{y} {g.constant(np.array([1]))}")
    y = g.add("Transpose", y, perm=[1, 0, 2])
    return g.add("Reshape", f"{y} {g.constant(np.array([0, c, SIDE, SIDE]))}"), c


def _embedding(g: Grower, x: str, c: int) -> tuple[str, int]:
    e = g.add("Gather", f"{g.normal(9, SIDE)} ids")
    return g.add("Mul", f"{x} {g.add('Unsqueeze', f'{e} {g.constant(np.array([1]))}')}"), c


def _pick_channels(g: Grower, x: str, c: int) -> tuple[str, int]:
    order = g.constant(g.rng.permutation(c))
    return g.add("Gather", f"{x} {order}", axis=1), c


def _float(g: Grower, x: str, c: int) -> tuple[str, int]:
    return g.add("Sin", x), c


def _branch(g: Grower, x: str, c: int) -> tuple[str, int]:
    other, _ = g.pick(c)
    bodies = []
    for kind in ("Abs", "Neg"):
        inner = [
            node(kind, x, f"{kind}_{x}_{len(g.nodes)}"),
            node("Add", f"{kind}_{x}_{len(g.nodes)} {other}", f"o_{kind}_{len(g.nodes)}"),
        ]
        out = onnx.ValueInfoProto(name=f"o_{kind}_{len(g.nodes)}")
        out.type.tensor_type.elem_type = TensorProto.FLOAT
        bodies.append(helper.make_graph(inner, kind, [], [out]))
    total = g.add("ReduceSum", x, keepdims=0)
    positive = g.add("Greater", f"{total} {g.constant(np.float32(0))}")
    return g.add("If", positive, then_branch=bodies[0], else_branch=bodies[1]), c


KINDS: dict[str, Callable[[Grower, str, int], tuple[str, int]]] = {
    "conv": _conv,
    "shared_conv": _shared_conv,
    "shared_across": _shared_across,
    "depthwise": _depthwise,
    "transposed": _transposed,
    "gemm": _gemm,
    "matmul": _matmul,
    "linear": _linear,
    "elementwise": _elementwise,
    "scalar": _scalar,
    "concat": _concat,
    "pool": _pool,
    "softmax": _softmax,
    "norm": _norm,
    "unary": _unary,
    "prelu": _prelu,
    "resize": _resize,
    "grid_sample": _grid_sample,
    "recurrent": _recurrent,
    "embedding": _embedding,
    "pick_channels": _pick_channels,
    "float": _float,
    "branch": _branch,
}


def random_graph(seed: int, size: int = 6) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A model of ``size`` operators or so and inputs for it; the last values and one in the middle are outputs."""
    g = Grower(seed)
    for kind in g.rng.choice(list(KINDS), size=size):
        g.grow(str(kind))
    named = dict.fromkeys([g.live[-1][0], g.live[-2][0], g.live[len(g.live) // 2][0]])
    channels = dict(g.live)
    inputs = ["x[N,3,6,6]"] + (["ids:int64[N,6]"] if "embedding" in g.kinds else [])
    outputs = [f"{name}[N,{channels[name]},6,6]" for name in named]
    feeds: dict[str, Any] = {"x": g.rng.normal(size=(3, 3, SIDE, SIDE)).astype(np.float32)}
    if "embedding" in g.kinds:
        feeds["ids"] = g.rng.integers(0, 9, (3, SIDE))
    return model(g.nodes, inputs, outputs, g.constants, opset=21), feeds
