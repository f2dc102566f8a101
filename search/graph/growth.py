"""Elements that a node creates from a few constants: ConstantOfShape, Expand, Tile, Range, random numbers.

Twenty bytes can declare 10**12 elements, so the declared size is checked before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, isfinite, prod

import onnx

from search.arrays import Array

#: Value name -> its array where it is a small constant, else None.
Constants = Callable[[str], Array | None]

_ENDLESS = 2**62  # a size of inf or NaN


def created_elements(node: onnx.NodeProto, constants: Constants) -> int:
    """Return the elements of the output as far as constants declare them, else 0.

    Negative sizes count as 1: those are errors of another kind, or mean "as the input".
    """
    rule = _RULES.get(node.op_type)
    return rule(node, constants) if rule is not None and node.domain in ("", "ai.onnx") else 0


def _input(node: onnx.NodeProto, index: int, constants: Constants) -> list[float]:
    if index >= len(node.input) or not node.input[index]:
        return []
    array = constants(node.input[index])
    if array is None or array.dtype.kind not in "iuf":
        return []
    values = array.reshape(-1).tolist()
    return [v if isfinite(v) else _ENDLESS for v in values]


def _product(sizes: Sequence[float]) -> int:
    return prod(max(1, int(size)) for size in sizes) if sizes else 0


def _from_input(index: int) -> Callable[[onnx.NodeProto, Constants], int]:
    return lambda node, constants: _product(_input(node, index, constants))


def _from_shape_attribute(node: onnx.NodeProto, _: Constants) -> int:
    return next((_product(list(a.ints)) for a in node.attribute if a.name == "shape"), 0)


def _tile(node: onnx.NodeProto, constants: Constants) -> int:
    array = constants(node.input[0]) if node.input else None
    return _product(_input(node, 1, constants)) * (array.size if array is not None else 1)


def _range(node: onnx.NodeProto, constants: Constants) -> int:
    ends = [_input(node, i, constants) for i in range(3)]
    if not all(len(end) == 1 for end in ends):
        return 0
    start, limit, delta = (end[0] for end in ends)
    if delta == 0:
        return 0
    return max(0, ceil((limit - start) / delta))


def _pad(node: onnx.NodeProto, constants: Constants) -> int:
    pads = [int(v) for v in _input(node, 1, constants)]
    pads = pads or next((list(a.ints) for a in node.attribute if a.name == "pads"), [])
    half = len(pads) // 2
    return _product([1 + max(0, a) + max(0, b) for a, b in zip(pads[:half], pads[half:], strict=False)])


def _resize(node: onnx.NodeProto, constants: Constants) -> int:
    return max(_product(_input(node, 3, constants)), _product(_input(node, 2, constants)))


_RULES: dict[str, Callable[[onnx.NodeProto, Constants], int]] = {
    "ConstantOfShape": _from_input(0),
    "Expand": _from_input(1),
    "OneHot": _from_input(1),
    "BlackmanWindow": _from_input(0),
    "HammingWindow": _from_input(0),
    "HannWindow": _from_input(0),
    "CenterCropPad": _from_input(1),
    "Upsample": _from_input(1),
    "RandomNormal": _from_shape_attribute,
    "RandomUniform": _from_shape_attribute,
    "Tile": _tile,
    "Range": _range,
    "Pad": _pad,
    "Resize": _resize,
}
