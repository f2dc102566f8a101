"""Which operators may be handed to the runtime: the standard ones, and a list from com.microsoft.

The runtime has no list of its own, and some operators load code or compiled blobs (EPContext). Everything that is not
listed is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from search.errors import UnsupportedModelError
from search.graph.spelling import is_known_to_runtime
from search.graph.walk import node_name

MICROSOFT = frozenset(
    {
        "Attention",
        "BiasGelu",
        "BiasSoftmax",
        "DequantizeLinear",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "EmbedLayerNormalization",
        "FastGelu",
        "FusedConv",
        "FusedGemm",
        "FusedMatMul",
        "FusedMatMulActivation",
        "GatherBlockQuantized",
        "Gelu",
        "GridSample",
        "GroupQueryAttention",
        "Inverse",
        "MatMulInteger16",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "MaxpoolWithMask",
        "MultiHeadAttention",
        "NhwcMaxPool",
        "Pad",
        "QAttention",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QuantizeLinear",
        "QuickGelu",
        "RelativePositionBias",
        "RotaryEmbedding",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "Trilu",
        "Unique",
    }
)
_ALLOWED_DOMAINS = 'the standard operators ("" and ai.onnx.ml) and a part of com.microsoft'


def check_operator(node: onnx.NodeProto, imports: Mapping[str, int]) -> None:
    """Check that one node may be evaluated.

    Args:
        node: Not a call of a local function.
        imports: Operator set version by domain.

    Raises:
        UnsupportedModelError: If the operator is unknown, deprecated at that opset, or not on the list.
    """
    what = f"{node.op_type} {node_name(node)!r}"
    domain = "" if node.domain == "ai.onnx" else node.domain
    if node.op_type == "EPContext":
        raise UnsupportedModelError(f"{what} holds a compiled network. Give the ONNX model it was compiled from.")
    if domain == "com.microsoft":
        if node.op_type not in MICROSOFT:
            raise UnsupportedModelError(
                f"{what} of domain com.microsoft is not among the operators that can be evaluated here. "
                "Export the model without runtime-specific operators."
            )
        return
    if domain not in ("", "ai.onnx.ml"):
        raise UnsupportedModelError(
            f"{what} belongs to domain {node.domain!r}; only {_ALLOWED_DOMAINS} can be evaluated. "
            "Export the model with standard operators."
        )
    if is_known_to_runtime(node):
        return
    version = imports.get(domain, 1)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError as error:
        raise UnsupportedModelError(
            f"{what} is no operator of {domain or 'ai.onnx'} opset {version}. Export the model again."
        ) from error
    if schema.deprecated:
        raise UnsupportedModelError(f"{what} no longer exists at opset {version}. Export the model again.")
