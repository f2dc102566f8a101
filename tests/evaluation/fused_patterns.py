"""Tiny graphs of the patterns that ONNX Runtime's optimizers look for, as exporters write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from tests.builders import conv, model, node

Node = onnx.NodeProto
_RNG = np.random.default_rng(3)


def _normal(*shape: int) -> npt.NDArray[np.float32]:
    return _RNG.normal(0, 0.4, shape).astype(np.float32)


def _rows(*nodes: Node, n: str = "N", opset: int = 17, **constants: Any) -> onnx.ModelProto:
    """``nodes`` from ``x`` to ``y``, both ``[n, 4, 8]``; ``w v`` are matrices, ``b g`` vectors."""
    given = {"w": _normal(8, 8), "v": _normal(8, 8), "b": _normal(8), "g": _normal(8), **constants}
    used = {name for one in nodes for name in one.input}
    return model(nodes, [f"x[{n},4,8]"], [f"y[{n},4,8]"], {k: v for k, v in given.items() if k in used}, opset=opset)


def _pictures(*nodes: Node, n: str = "N", size: str = "6", opset: int = 17, **constants: Any) -> onnx.ModelProto:
    """``nodes`` from ``x`` ``[n, 4, 6, 6]`` to ``y``."""
    given = {"w": _normal(4, 4, 1, 1), "v": _normal(4, 4, 1, 1), "b": _normal(4), "c": _normal(4), **constants}
    used = {name for one in nodes for name in one.input}
    kept = {k: v for k, v in given.items() if k in used}
    return model(nodes, [f"x[{n},4,6,6]"], [f"y[{n},4,{size},{size}]"], kept, opset=opset)


def _written_out(x: str, y: str, *, opset: int, scaled: bool = True, centred: bool = True) -> list[Node]:
    """LayerNormalization, or RMS normalization, of the last axis in single operators."""
    axes = {"axes": [-1]} if opset < 18 else {}
    last = " axis" if opset >= 18 else ""
    mean = [node("ReduceMean", f"{x}{last}", "mu", "mean", **axes), node("Sub", f"{x} mu", "d", "centre")]
    d = "d" if centred else x
    nodes = [
        *(mean if centred else []),
        node("Pow", f"{d} two", "sq", "square"),
        node("ReduceMean", f"sq{last}", "var", "variance", **axes),
        node("Add", "var eps", "ve", "offset"),
        node("Sqrt", "ve", "sd", "root"),
        node("Div", f"{d} sd", "n" if scaled else y, "division"),
    ]
    scale = [node("Mul", "n g", "s" if centred else y, "scale"), *([node("Add", "s b", y, "shift")] if centred else [])]
    return [*nodes, *(scale if scaled else [])]


_NORM = {"two": np.float32(2), "eps": np.float32(1e-5)}


def _norm(opset: int, *, scaled: bool = True, centred: bool = True) -> onnx.ModelProto:
    inner = _written_out("a", "l", opset=opset, scaled=scaled, centred=centred)
    ends = node("MatMul", "x w", "a", "first"), node("MatMul", "l v", "y", "last")
    return _rows(ends[0], *inner, ends[1], opset=opset, **_NORM, axis=np.array([-1]))


def _skip_norm(*, written_out: bool) -> onnx.ModelProto:
    norm = [node("LayerNormalization", "a g b", "l", "norm", axis=-1)]
    inner = _written_out("a", "l", opset=17) if written_out else norm
    head = [
        node("MatMul", "x w", "a0", "first"),
        node("Add", "a0 b", "a1", "bias"),
        node("Add", "a1 x", "a", "skip"),
    ]
    return _rows(*head, *inner, node("MatMul", "l v", "y0", "last"), node("Add", "y0 a", "y", "skip2"), **_NORM)


def _attention(n: str, scale: str | None, *, mask: bool = False) -> onnx.ModelProto:
    """Two heads of self-attention with a skip connection."""
    constants: dict[str, Any] = {f"w{h}": _normal(8, 8) for h in "qkvo"} | {f"b{h}": _normal(8) for h in "qkvo"}
    constants |= {"heads": np.array([0, 0, 2, 4]), "whole": np.array([0, 0, 8]), "k": np.float32(0.5)}
    constants["mask"] = np.where(np.tri(4) > 0, 0, -1e4).astype(np.float32)[None, None]
    nodes = []
    for h in "qkv":
        nodes += [
            node("MatMul", f"x w{h}", f"{h}0", f"{h}_product"),
            node("Add", f"{h}0 b{h}", f"{h}1", f"{h}_bias"),
            node("Reshape", f"{h}1 heads", f"{h}2", f"{h}_heads"),
            node("Transpose", f"{h}2", f"{h}3", f"{h}_turn", perm=[0, 2, 3, 1] if h == "k" else [0, 2, 1, 3]),
        ]
    nodes.append(node("MatMul", "q3 k3", "s0", "scores"))
    nodes += [node(scale, "s0 k", "s1", "scaled")] if scale else [node("Sigmoid", "s0", "s1", "scaled")]
    nodes += [node("Add", "s1 mask", "s2", "masked")] if mask else []
    return _rows(
        *nodes,
        node("Softmax", "s2" if mask else "s1", "p", "softmax", axis=-1),
        node("MatMul", "p v3", "o0", "mix"),
        node("Transpose", "o0", "o1", "turn_back", perm=[0, 2, 1, 3]),
        node("Reshape", "o1 whole", "o2", "join"),
        node("MatMul", "o2 wo", "o3", "out"),
        node("Add", "o3 bo", "o4", "out_bias"),
        node("Add", "o4 x", "y", "skip"),
        n=n,
        **constants,
    )


def _between(nodes: Sequence[Node], *, opset: int = 17, n: str = "N", **constants: Any) -> onnx.ModelProto:
    """``nodes`` from ``a`` to ``h`` between two products with a bias."""
    head = [node("MatMul", "x w", "a0", "first"), node("Add", "a0 b", "a", "bias")]
    return _rows(*head, *nodes, node("MatMul", "h v", "y", "last"), opset=opset, n=n, **constants)


def _gelu_erf() -> onnx.ModelProto:
    nodes = [
        node("Div", "a root2", "d", "divide"),
        node("Erf", "d", "e", "erf"),
        node("Add", "e one", "p", "plus"),
        node("Mul", "a p", "m", "times"),
        node("Mul", "m half", "h", "halve"),
    ]
    return _between(nodes, root2=np.float32(2**0.5), one=np.float32(1), half=np.float32(0.5))


def _gelu_tanh() -> onnx.ModelProto:
    nodes = [
        node("Pow", "a three", "c", "cube"),
        node("Mul", "c k1", "c1", "scale_cube"),
        node("Add", "a c1", "s", "sum"),
        node("Mul", "s k2", "t", "scale"),
        node("Tanh", "t", "th", "tanh"),
        node("Add", "th one", "p", "plus"),
        node("Mul", "a p", "m", "times"),
        node("Mul", "m half", "h", "halve"),
    ]
    numbers = {"three": 3.0, "k1": 0.044715, "k2": 0.7978845, "one": 1.0, "half": 0.5}
    return _between(nodes, **{name: np.float32(value) for name, value in numbers.items()})


def _pool(**attributes: Any) -> onnx.ModelProto:
    pool = node("AveragePool", "a", "p", "pool", **attributes)
    return _pictures(
        conv("c1", "x", "a", weight="w", bias="b"), pool, node("Sigmoid", "p", "y", "last"), size="?", opset=19
    )


def _dead(kind: str) -> onnx.ModelProto:
    """Channels without weights, or with tiny ones, beside an ordinary bias."""
    pictures, matrix, transposed = _normal(4, 4, 3, 3), _normal(8, 8), _normal(4, 4, 1, 1)
    pictures[0], pictures[1], pictures[2] = 0, pictures[1] * 1e-38, pictures[2] * 1e-6
    matrix[:, 0], matrix[:, 1], transposed[:, 0] = 0, matrix[:, 1] * 1e-7, transposed[:, 0] * 1e-8
    last = [node("Relu", "a", "r", "relu"), conv("c2", "r", "y", weight="v", bias="c")]
    if kind == "Conv":
        first = conv("c1", "x", "a", weight="w", bias="b", pads=[1] * 4)
        return _pictures(first, *last, w=pictures, b=_normal(4) + 1)
    if kind == "ConvTranspose":
        first = conv("c1", "x", "a", weight="w", bias="b", op_type="ConvTranspose")
        return _pictures(first, *last, w=transposed, b=_normal(4) + 1)
    return _between([node("Relu", "a", "h", "relu")], n="1", w=matrix, b=_normal(8) + 1)


_RELU = [node("Relu", "a", "h", "relu")]
_SILU = [node("Sigmoid", "a", "s", "sigmoid"), node("Mul", "a s", "h", "times")]
_QUICK = [node("Mul", "a k", "c", "scale"), node("Sigmoid", "c", "s", "sigmoid"), node("Mul", "a s", "h", "times")]

PATTERNS: Mapping[str, Callable[[], onnx.ModelProto]] = {
    "norm written out, opset 14": lambda: _norm(14),
    "norm written out, opset 18": lambda: _norm(18),
    "norm written out without scale": lambda: _norm(14, scaled=False),
    "rms norm written out": lambda: _norm(14, centred=False),
    "skip norm": lambda: _skip_norm(written_out=False),
    "skip norm written out": lambda: _skip_norm(written_out=True),
    "gelu by erf": _gelu_erf,
    "gelu by tanh": _gelu_tanh,
    "gelu": lambda: _between([node("Gelu", "a", "h", "gelu")], opset=20),
    "quick gelu": lambda: _between(_QUICK, k=np.float32(1.702)),
    "silu": lambda: _between(_SILU),
    "attention": lambda: _attention("N", "Div"),
    "attention of batch 1": lambda: _attention("1", "Mul", mask=True),
    "attention without scale": lambda: _attention("1", None),
    "mlp of batch 1": lambda: _between(_RELU, n="1"),
    "bias per row": lambda: _between(_RELU, b=_normal(4, 1)),
    "bias of one element": lambda: _between(_RELU, b=_normal(1)),
    "bias that is a number": lambda: _between(_RELU, b=np.float32(0.3)),
    "scaled products": lambda: _between(
        [
            node("Mul", "a k", "c", "scale"),
            node("Transpose", "c", "t", "turn", perm=[0, 2, 1]),
            node("MatMul", "c t", "m", "square"),
            node("Softmax", "m", "p", "softmax", axis=-1),
            node("MatMul", "p c", "h", "mix"),
        ],
        k=np.float32(0.35),
    ),
    "dead channels of a Conv": lambda: _dead("Conv"),
    "dead channels of a ConvTranspose": lambda: _dead("ConvTranspose"),
    "dead channels of a MatMul": lambda: _dead("MatMul"),
    "residual block": lambda: _pictures(
        conv("c1", "x", "a", weight="w", bias="b"),
        node("Relu", "a", "r", "relu"),
        conv("c2", "r", "e", weight="v", bias="c"),
        node("Add", "e a", "s", "skip"),
        node("Relu", "s", "y", "relu2"),
    ),
    "average of what is there": lambda: _pool(kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1),
    "average with its padding": lambda: _pool(kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    "average with dilations": lambda: _pool(kernel_shape=[2, 2], dilations=[2, 2]),
    "mean and classifier": lambda: model(
        [
            conv("c1", "x", "a", weight="w", bias="b"),
            node("GlobalAveragePool", "a", "p", "pool"),
            node("Flatten", "p", "f", "flatten"),
            node("Gemm", "f m c", "y", "head", transB=1),
        ],
        ["x[N,4,6,6]"],
        ["y[N,3]"],
        {"w": _normal(4, 4, 1, 1), "b": _normal(4), "m": _normal(3, 4), "c": _normal(3)},
    ),
}
"""Name to what builds the graph."""
