"""The Q/DQ model of one placement: what is exported is what is measured.

For every node of the prepared model, in order:

1. each slot reads its tensor in the format of the placement; where that is not the stored one, a cast stands before it;
2. each quantizable constant is stored as integers with a DequantizeLinear (or as binary16 with a Cast);
3. the bias of an integer gemm is stored in int32 with scale ``s_x * s_w``; one that would overflow stays float;
4. the value a writer produces is followed by the rounding to its stored format.

Names follow ONNX Runtime's own quantizer: ``T_QuantizeLinear_Output``, ``T_DequantizeLinear_Output``, ``T_scale``,
``T_zero_point``, ``W_quantized``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from search.calibration.grids import WeightGrid
from search.evaluation.casts import Parts
from search.evaluation.template import Bias, Template
from search.graph.network import OpClass, SlotKind
from search.precision import Format
from search.quant.grid import Grid, quantize_bias
from search.targets.placement import Placement


class GridSource(Protocol):
    """Where scales come from: one calibration result with its overrides."""

    def activation(self, tensor: int, fmt: Format) -> Grid:
        """Grid of tensor ``tensor`` in integer format ``fmt``."""
        ...

    def weight(self, constant: int, fmt: Format) -> WeightGrid:
        """Quantized values of constant ``constant`` in integer format ``fmt``."""
        ...


@dataclass(frozen=True)
class QdqModel:
    """The model and what its making found out."""

    model: onnx.ModelProto
    float_biases: tuple[str, ...]
    """Biases that would overflow int32 and stayed float."""


@dataclass(frozen=True, kw_only=True)
class QdqOptions:
    """How the graph is written.

    Attributes:
        explicit_moves: Also write Q/DQ after every Reshape, Transpose, ... (same scale; the values do not change).
        prescale: Tensor index to exponent ``k`` of the fp16 pre-scale ``2**-k``.
    """

    explicit_moves: bool = False
    prescale: Mapping[int, int] = field(default_factory=dict)


def build_qdq(template: Template, placement: Placement, grids: GridSource, options: QdqOptions) -> QdqModel:
    """Assemble the Q/DQ model of ``placement``.

    Args:
        template: The prepared model.
        placement: Stored and read formats.
        grids: Scales of the calibration in use.
        options: How it is written.
    """
    return _Assembly(template, placement, grids, options).build()


class _Assembly:
    """One model under construction; lives only inside ``build_qdq``."""

    def __init__(self, template: Template, placement: Placement, grids: GridSource, options: QdqOptions) -> None:
        self._template = template
        self._network = template.network
        self._placement = placement
        self._grids = grids
        self._options = options
        self._parts = Parts()
        self._current: dict[str, str] = {}
        self._cast: dict[tuple[str, Format], str] = {}
        self._outputs = frozenset(template.outputs)
        self._float_biases: list[str] = []
        self._slots = {
            (slot.node, slot.index): (slot.tensor, placement.read[g][s])
            for g, group in enumerate(self._network.groups)
            for s, slot in enumerate(group.inputs)
        }
        self._constants = {(c.node, c.index): i for i, c in enumerate(self._network.constants)}

    def build(self) -> QdqModel:
        source = self._template.model
        for value in source.graph.input:
            if value.name in self._template.roots:
                self._store(value.name, value.name, self._template.roots[value.name])
        for node in source.graph.node:
            self._node(node)
        model = onnx.ModelProto()
        model.ir_version = source.ir_version
        model.producer_name = "bitbudget"
        model.opset_import.extend(source.opset_import)
        model.graph.name = source.graph.name
        model.graph.input.extend(source.graph.input)
        model.graph.output.extend(source.graph.output)
        model.graph.node.extend(self._parts.nodes)
        read = {name for node in self._parts.nodes for name in _reads(node)} | self._outputs
        initializers = {**self._template.initializers, **self._parts.initializers}
        model.graph.initializer.extend(tensor for name, tensor in initializers.items() if name in read)
        return QdqModel(model, tuple(self._float_biases))

    def _node(self, node: onnx.NodeProto) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for index, name in enumerate(node.input):
            if name:
                new.input[index] = self._input(node, index, name)
        for attribute in new.attribute:
            _rename_captured(attribute, self._current)
        self._parts.nodes.append(new)
        for index, name in enumerate(node.output):
            tensor = self._stored_here(name)
            if tensor is None:
                continue
            if name in self._outputs:
                new.output[index] = f"{name}_QuantizeLinear_Input"
            self._store(name, new.output[index], tensor)

    def _input(self, node: onnx.NodeProto, index: int, name: str) -> str:
        place = (node.name, index)
        if place in self._slots:
            return self._read(name, *self._slots[place])
        if place in self._constants:
            constant = self._constants[place]
            return self._constant(constant, self._placement.constants[constant])
        if place in self._template.biases:
            return self._bias(self._template.biases[place])
        if name in self._template.initializers and self._rounds_operands(node):
            return self._fp16_constant(name)
        return self._current.get(name, name)

    def _stored_here(self, name: str) -> int | None:
        """Tensor whose rounding stands right after the value ``name``, if any."""
        tensor = self._template.roots.get(name)
        if tensor is None and self._options.explicit_moves:
            tensor = self._template.tensor_of.get(name)
            if tensor is not None and not self._placement.stored[tensor].is_integer:
                return None
        return None if tensor is None or self._placement.stored[tensor] is Format.FP32 else tensor

    def _store(self, name: str, written: str, tensor: int) -> None:
        fmt = self._placement.stored[tensor]
        if fmt is Format.FP32:
            return
        target = name if name in self._outputs else f"{name}_DequantizeLinear_Output"
        if name in self._outputs and written == name:
            return  # a model input that is an output at once: nothing computes on it
        self._round(written, target, tensor, fmt, name)
        self._current[name] = target

    def _read(self, name: str, tensor: int, fmt: Format) -> str:
        value = self._current.get(name, name)
        if fmt in (self._placement.stored[tensor], Format.FP32):
            return value
        if (name, fmt) not in self._cast:
            target = f"{name}_{fmt.value}_DequantizeLinear_Output"
            self._round(value, target, tensor, fmt, f"{name}_{fmt.value}")
            self._cast[(name, fmt)] = target
        return self._cast[(name, fmt)]

    def _round(self, source: str, target: str, tensor: int, fmt: Format, stem: str) -> None:
        if fmt is Format.FP16:
            self._parts.round_fp16(source, target, stem, self._options.prescale.get(tensor, 0))
        else:
            self._parts.quantize(source, target, self._grids.activation(tensor, fmt), stem)

    def _constant(self, index: int, fmt: Format) -> str:
        constant = self._network.constants[index]
        if fmt is Format.FP32:
            return constant.name
        if fmt is Format.FP16:
            return self._fp16_constant(constant.name)
        stem = constant.name if self._is_first_use(index) else f"{constant.name}#{index}"
        target = f"{stem}_DequantizeLinear_Output"
        if f"{stem}_quantized" not in self._parts.initializers:
            self._add_weight(stem, target, self._grids.weight(index, fmt))
        return target

    def _is_first_use(self, index: int) -> bool:
        name = self._network.constants[index].name
        return next(i for i, c in enumerate(self._network.constants) if c.name == name) == index

    def _add_weight(self, stem: str, target: str, weight: WeightGrid) -> None:
        names = [
            self._parts.constant(f"{stem}_quantized", weight.values),
            self._parts.constant(f"{stem}_scale", weight.scales),
            self._parts.constant(f"{stem}_zero_point", weight.zero_points),
        ]
        node = helper.make_node("DequantizeLinear", names, [target], name=f"{stem}_DequantizeLinear")
        if weight.axis is not None:
            node.attribute.append(helper.make_attribute("axis", weight.axis))
        self._parts.nodes.append(node)

    def _fp16_constant(self, name: str) -> str:
        target = f"{name}_fp16_float"
        if f"{name}_fp16" not in self._parts.initializers:
            with np.errstate(over="ignore"):
                values = self._template.array(name).astype(np.float16)
            self._parts.constant(f"{name}_fp16", values)
            cast = helper.make_node("Cast", [f"{name}_fp16"], [target], name=f"{name}_CastFloat", to=TensorProto.FLOAT)
            self._parts.nodes.append(cast)
        return target

    def _rounds_operands(self, node: onnx.NodeProto) -> bool:
        """Whether scalars this node reads are rounded too: a single elementwise operator that runs in fp16."""
        group = self._template.group_of.get(node.name)
        if group is None or self._network.groups[group].op_class is not OpClass.ELEMENTWISE:
            return False
        return Format.FP16 in self._placement.read[group]

    def _bias(self, bias: Bias) -> str:
        """Name of the bias as the gemm reads it."""
        scales = self._accumulator_scales(bias.group)
        if scales is None:
            is_fp16 = Format.FP16 in self._placement.read[bias.group]
            return self._fp16_constant(bias.name) if is_fp16 else bias.name
        values = np.asarray(self._template.array(bias.name), dtype=np.float32)
        axis = next((i for i, size in enumerate(values.shape) if size > 1), None)
        if scales.ndim and (axis is None or values.size != scales.size):
            return bias.name  # one number for channels of different scale: int32 cannot hold it exactly
        shaped = scales.reshape([-1 if i == axis else 1 for i in range(values.ndim)]) if scales.ndim else scales
        quantized, overflowed = quantize_bias(values, 1.0, shaped)
        if overflowed:
            self._float_biases.append(bias.name)
            return bias.name
        stem = f"{bias.name}@{bias.node}"
        target = f"{stem}_DequantizeLinear_Output"
        self._add_weight(
            stem, target, WeightGrid(quantized, scales, np.zeros_like(scales, np.int32), axis if scales.ndim else None)
        )
        return target

    def _accumulator_scales(self, group: int) -> npt.NDArray[np.float32] | None:
        """``s_x * s_w`` per channel (or one number), None where the gemm does not sum integers."""
        formats = self._placement.read[group]
        slots = self._network.groups[group].inputs
        first = next((s for s, slot in enumerate(slots) if slot.kind is SlotKind.ACTIVATION), None)
        if first is None or not formats[first].is_integer:
            return None
        scale_x = np.float32(self._grids.activation(slots[first].tensor, formats[first]).scale)
        second = next((s for s, slot in enumerate(slots) if slot.kind is SlotKind.SECOND), None)
        if second is not None:
            other = self._grids.activation(slots[second].tensor, formats[second])
            return np.asarray(scale_x * np.float32(other.scale), dtype=np.float32)
        weights = self._network.constants_of[group]
        if not weights or not self._placement.constants[weights[0]].is_integer:
            return None
        grid = self._grids.weight(weights[0], self._placement.constants[weights[0]])
        return np.asarray(scale_x * grid.scales, dtype=np.float32)


def _reads(node: onnx.NodeProto) -> set[str]:
    """Every name ``node`` reads, its subgraphs included."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
            names.update(value.name for value in graph.output)
            for inner in graph.node:
                names.update(_reads(inner))
    return names


def _rename_captured(attribute: onnx.AttributeProto, names: Mapping[str, str]) -> None:
    """Let subgraphs read the rounded values of the outer graph."""
    for graph in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
        own = {value.name for value in graph.input} | {name for node in graph.node for name in node.output}
        for node in graph.node:
            for index, name in enumerate(node.input):
                if name in names and name not in own:
                    node.input[index] = names[name]
            for inner in node.attribute:
                _rename_captured(inner, {k: v for k, v in names.items() if k not in own})
