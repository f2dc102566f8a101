"""Dynamic quantization by ONNX Runtime's own tool: int8 weights, activations quantized as they come.

Integer kernels for products with constant weights and for LSTMs only; nothing is calibrated. Convolutions are left out:
``ConvInteger`` is many times slower than float.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from search.errors import UnsupportedModelError

OPERATORS = ("MatMul", "LSTM", "Attention")
"""What is quantized."""
MOST_BYTES = 2**30  # the tool copies the model several times
_FAILURES = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def dynamically_quantized(model: onnx.ModelProto, *, reduce_range: bool) -> bytes:
    """Return the model with int8 weights, one scale per output channel.

    Args:
        model: The float model.
        reduce_range: Weights of seven bits, for processors whose pairs of products saturate.

    Raises:
        UnsupportedModelError: If the tool cannot take the model, or nothing in it is quantized.
    """
    if model.ByteSize() > MOST_BYTES:
        raise UnsupportedModelError(f"Dynamic quantization is tried on models up to {MOST_BYTES >> 20} MiB.")
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415  slow to load, rarely needed

    with tempfile.TemporaryDirectory() as folder, _quietly():
        path = Path(folder) / "dynamic.onnx"
        try:
            quantize_dynamic(
                model,
                path,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
            )
            data = path.read_bytes()
        except _FAILURES as error:
            raise UnsupportedModelError(f"ONNX Runtime's quantizer failed ({type(error).__name__}).") from error
    if not any(node.op_type.startswith(("MatMulInteger", "DynamicQuantize")) for node in _nodes(data)):
        raise UnsupportedModelError("Dynamic quantization finds nothing to quantize in this model.")
    return data


def _nodes(data: bytes) -> Iterator[onnx.NodeProto]:
    yield from onnx.load_from_string(data).graph.node


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the tool logs: it is written for those who call it by hand."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
