"""Node chains that bring a value to a format: quantize and dequantize, or round to binary16.

- integers: ``QuantizeLinear`` then ``DequantizeLinear`` with one scale and zero point;
- fp16: ``Cast`` to float16 then ``Cast`` to float; with a pre-scale ``2**-k`` before and ``2**k`` after, which is exact
  (see docs/numerics.md#fp16).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.quant.grid import Grid


@dataclass
class Parts:
    """Nodes and initializers of a graph under construction; names of initializers are unique."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: np.generic | np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        """Add an initializer unless one of that name exists; return the name."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def quantize(self, source: str, target: str, grid: Grid, stem: str) -> None:
        """Append Q and DQ from ``source`` to ``target``; ``stem`` names the scale, zero point and nodes."""
        scale = self.constant(f"{stem}_scale", np.float32(grid.scale))
        zero_point = self.constant(f"{stem}_zero_point", grid.dtype.type(grid.zero_point))
        quantized = f"{stem}_QuantizeLinear_Output"
        self.nodes.append(
            helper.make_node("QuantizeLinear", [source, scale, zero_point], [quantized], name=f"{stem}_QuantizeLinear")
        )
        self.nodes.append(
            helper.make_node(
                "DequantizeLinear", [quantized, scale, zero_point], [target], name=f"{stem}_DequantizeLinear"
            )
        )

    def round_fp16(self, source: str, target: str, stem: str, prescale: int = 0) -> None:
        """Append the rounding to binary16 from ``source`` to ``target``, scaled by ``2**-prescale`` meanwhile."""
        value = source
        if prescale:
            factor = self.constant(f"{stem}_prescale", np.float32(2.0**-prescale))
            self.nodes.append(helper.make_node("Mul", [value, factor], [f"{stem}_scaled"], name=f"{stem}_Prescale"))
            value = f"{stem}_scaled"
        rounded = f"{stem}_rounded" if prescale else target
        self.nodes.append(
            helper.make_node("Cast", [value], [f"{stem}_fp16"], name=f"{stem}_CastFp16", to=TensorProto.FLOAT16)
        )
        self.nodes.append(
            helper.make_node("Cast", [f"{stem}_fp16"], [rounded], name=f"{stem}_CastFloat", to=TensorProto.FLOAT)
        )
        if prescale:
            factor = self.constant(f"{stem}_postscale", np.float32(2.0**prescale))
            self.nodes.append(helper.make_node("Mul", [rounded, factor], [target], name=f"{stem}_Postscale"))
