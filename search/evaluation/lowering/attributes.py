"""Attributes of ONNX nodes by type, and the geometry they describe."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from search.simulator.program import Window


def _find(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    return next((one for one in node.attribute if one.name == name), None)


def integer(node: onnx.NodeProto, name: str, default: int) -> int:
    """Integer attribute."""
    found = _find(node, name)
    return default if found is None else int(found.i)


def number(node: onnx.NodeProto, name: str, default: float) -> float:
    """Float attribute."""
    found = _find(node, name)
    return default if found is None else float(found.f)


def text(node: onnx.NodeProto, name: str, default: str) -> str:
    """String attribute."""
    found = _find(node, name)
    return default if found is None else found.s.decode()


def integers(node: onnx.NodeProto, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """Attribute that is a list of integers."""
    found = _find(node, name)
    return tuple(default) if found is None else tuple(int(value) for value in found.ints)


def has(node: onnx.NodeProto, name: str) -> bool:
    """Whether the attribute is given."""
    return _find(node, name) is not None


def window(node: onnx.NodeProto, kernel: tuple[int, ...], sizes: Sequence[int] | None) -> Window | None:
    """Geometry of a convolution or pooling; None where ``auto_pad`` needs sizes that are unknown.

    Args:
        node: Conv, ConvTranspose, MaxPool or AveragePool.
        kernel: Its spatial sizes.
        sizes: Spatial sizes of the input (ConvTranspose: not used).
    """
    rank = len(kernel)
    ones = (1,) * rank
    strides, dilations = integers(node, "strides", ones), integers(node, "dilations", ones)
    ceil_mode = bool(integer(node, "ceil_mode", 0))
    mode = text(node, "auto_pad", "NOTSET")
    if mode in ("", "NOTSET"):
        pads: tuple[int, ...] | None = integers(node, "pads", (0,) * (2 * rank))
    elif mode == "VALID":
        pads, ceil_mode = (0,) * (2 * rank), False
    else:
        pads, ceil_mode = _same_pads(kernel, strides, dilations, sizes, at_end=mode == "SAME_UPPER"), False
    if pads is None:
        return None
    group = integer(node, "group", 1)
    return Window(kernel=kernel, strides=strides, pads=pads, dilations=dilations, group=group, ceil_mode=ceil_mode)


def _same_pads(
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    sizes: Sequence[int] | None,
    *,
    at_end: bool,
) -> tuple[int, ...] | None:
    """Pads of ``SAME_UPPER`` or ``SAME_LOWER``: the output has ``ceil(size / stride)`` positions."""
    if sizes is None or any(size < 0 for size in sizes):
        return None
    begins, ends = [], []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        smaller, larger = total // 2, total - total // 2
        begins.append(smaller if at_end else larger)
        ends.append(larger if at_end else smaller)
    return (*begins, *ends)


def transposed_window(node: onnx.NodeProto, kernel: tuple[int, ...], sizes: Sequence[int] | None) -> Window | None:
    """Geometry of a ConvTranspose; None where ``output_shape`` or ``auto_pad`` needs sizes that are unknown.

    ``total pad = stride * (size - 1) + output_padding + (k - 1) * dilation + 1 - output size``, per axis.
    """
    rank = len(kernel)
    ones = (1,) * rank
    strides, dilations = integers(node, "strides", ones), integers(node, "dilations", ones)
    output_padding = integers(node, "output_padding", (0,) * rank)
    mode = text(node, "auto_pad", "NOTSET")
    wanted: tuple[int, ...] | None = integers(node, "output_shape", ()) or None
    pads = integers(node, "pads", (0,) * (2 * rank))
    if wanted is None and mode.startswith("SAME"):
        if sizes is None:
            return None
        wanted = tuple(size * stride for size, stride in zip(sizes, strides, strict=True))
    if mode == "VALID" and wanted is None:
        pads = (0,) * (2 * rank)
    if wanted is not None:
        if sizes is None or any(size < 0 for size in sizes):
            return None
        spans = [
            stride * (size - 1) + more + (k - 1) * dilation + 1 - out
            for stride, size, more, k, dilation, out in zip(
                strides, sizes, output_padding, kernel, dilations, wanted[-rank:], strict=True
            )
        ]
        if any(span < 0 for span in spans):
            return None
        small, large = [span // 2 for span in spans], [span - span // 2 for span in spans]
        pads = (*small, *large) if mode == "SAME_UPPER" else (*large, *small)
    return Window(
        kernel=kernel,
        strides=strides,
        pads=pads,
        dilations=dilations,
        group=integer(node, "group", 1),
        output_padding=output_padding,
    )
