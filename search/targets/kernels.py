"""Which kind of multiply-accumulate kernel a group needs: kinds differ in speed beyond their work.

``depthwise`` one input channel per filter, ``pointwise`` a 1x1 filter, ``transposed`` ConvTranspose, ``spatial`` any
other Conv; ``summed`` a gemm with a fused addition of another tensor; ``matmul`` with constant weights, ``product`` of
two activations; ``recurrent`` LSTM and GRU.
"""

from __future__ import annotations

from search.graph.network import ConstantKind, Network, OpClass, SlotKind
from search.targets.settings import Kernel


def kernel_of(network: Network, group: int) -> Kernel | None:
    """Kind of kernel of a group, None for groups that are no gemm."""
    values = network.groups[group]
    if values.op_class is OpClass.RECURRENT:
        return "recurrent"
    if values.op_class is not OpClass.GEMM:
        return None
    kinds = {slot.kind for slot in values.inputs}
    if SlotKind.SUM_IN in kinds:
        return "summed"
    if values.op_type == "ConvTranspose":
        return "transposed"
    if values.op_type != "Conv":
        return "product" if SlotKind.SECOND in kinds else "matmul"
    return _convolution(network, group)


def _convolution(network: Network, group: int) -> Kernel:
    constants = (network.constants[c] for c in network.constants_of[group])
    shape = next((c.shape for c in constants if c.kind is ConstantKind.WEIGHT), ())
    if len(shape) > 2 and shape[1] == 1 < shape[0]:
        return "depthwise"
    return "pointwise" if len(shape) > 2 and all(size == 1 for size in shape[2:]) else "spatial"
