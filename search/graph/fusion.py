"""What a runtime runs as one operator, and so as one group: the value between is never rounded.

A chip's accelerator adds a second tensor into the accumulator of a gemm; ONNX Runtime and Qualcomm's NPU do not: their
integer Conv ends before the Add, and a sum that reads an unrounded Conv would make that Conv a float one.
"""

from __future__ import annotations

from dataclasses import dataclass

GEMMS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """Operator types by what they are joined with.

    Attributes:
        sum_into: Gemms that an Add of an equally shaped activation joins.
        after_gemm: What joins a gemm, or the sum in it, behind.
        after_sum: What joins an Add of two activations that no gemm took in.
    """

    sum_into: frozenset[str] = GEMMS
    after_gemm: frozenset[str] = frozenset({"Relu", "Clip"})
    after_sum: frozenset[str] = frozenset()
