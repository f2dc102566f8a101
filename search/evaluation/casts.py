"""Node chains that bring a value to a format: quantize and dequantize, or round to binary16.

- integers: ``QuantizeLinear`` then ``DequantizeLinear`` with one scale and zero point;
- fp16: ``Cast`` to float16 then ``Cast`` to float; with a pre-scale ``2**-k`` before and ``2**k`` after, which is exact
  (see docs/numerics.md#fp16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from search.quant.grid import Grid

SUFFIXES = (
    *("_scale", "_zero_point", "_quantized", "_prescale", "_postscale", "_scaled", "_rounded", "_fp16", "_fp16_float"),
    *("_QuantizeLinear", "_QuantizeLinear_Input", "_QuantizeLinear_Output"),
    *("_DequantizeLinear", "_DequantizeLinear_Output", "_CastFp16", "_CastFloat", "_Prescale", "_Postscale"),
    *("_kept", "_Keep", "_guarded", "_Guard"),
)
"""Everything that is put behind a stem here and in the Q/DQ model; a stem is usable if none of these is taken."""


@dataclass
class Parts:
    """Nodes and initializers of a graph under construction; names of initializers are unique."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add an initializer unless one of that name exists; return the name."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def add(self, op_type: str, inputs: Sequence[str], output: str, name: str) -> onnx.NodeProto:
        """Append a node with one output and return it."""
        node = onnx.NodeProto(op_type=op_type, input=inputs, output=[output], name=name)
        self.nodes.append(node)
        return node

    def cast(self, source: str, target: str, name: str, elem_type: int) -> None:
        """Append a Cast."""
        node = self.add("Cast", [source], target, name)
        node.attribute.append(onnx.AttributeProto(name="to", type=onnx.AttributeProto.INT, i=elem_type))

    def quantize(self, source: str, target: str, grid: Grid, stem: str) -> None:
        """Append Q and DQ from ``source`` to ``target``; ``stem`` names the scale, zero point and nodes."""
        scale = self.constant(f"{stem}_scale", np.float32(grid.scale))
        zero_point = self.constant(f"{stem}_zero_point", grid.dtype.type(grid.zero_point))
        quantized = f"{stem}_QuantizeLinear_Output"
        self.add("QuantizeLinear", [source, scale, zero_point], quantized, f"{stem}_QuantizeLinear")
        self.add("DequantizeLinear", [quantized, scale, zero_point], target, f"{stem}_DequantizeLinear")

    def round_fp16(self, source: str, target: str, stem: str, prescale: int = 0) -> None:
        """Append the rounding to binary16 from ``source`` to ``target``, scaled by ``2**-prescale`` meanwhile."""
        value = source
        if prescale:
            factor = self.constant(f"{stem}_prescale", np.float32(2.0**-prescale))
            value = f"{stem}_scaled"
            self.add("Mul", [source, factor], value, f"{stem}_Prescale")
        rounded = f"{stem}_rounded" if prescale else target
        self.cast(value, f"{stem}_fp16", f"{stem}_CastFp16", TensorProto.FLOAT16)
        self.cast(f"{stem}_fp16", rounded, f"{stem}_CastFloat", TensorProto.FLOAT)
        if prescale:
            factor = self.constant(f"{stem}_postscale", np.float32(2.0**prescale))
            self.add("Mul", [rounded, factor], target, f"{stem}_Postscale")
