"""The Q/DQ model of one placement: what is exported is what is measured.

For every node of the prepared model, in order:

1. each slot reads its tensor in the format of the placement; where that is not the stored one, a cast stands before it;
2. each quantizable constant is stored as integers with a DequantizeLinear (or as binary16 with a Cast);
3. the bias of an integer gemm is stored in int32 with scale ``s_x * s_w``; one that would overflow stays float;
4. the value a writer produces is followed by the rounding to its stored format;
5. if guarded, a copy follows every rounded value and every integer weight of a gemm.

Names follow ONNX Runtime's own quantizer: ``T_QuantizeLinear_Output``, ``T_DequantizeLinear_Output``, ``T_scale``,
``T_zero_point``, ``W_quantized``; where the model uses such a name itself, ``T`` gets a ``#`` behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto

from search.arrays import Array
from search.calibration.grids import WeightGrid
from search.evaluation.biases import Bias, GridSource, accumulator_scales
from search.evaluation.casts import Parts
from search.evaluation.subgraphs import rename_outer
from search.evaluation.template import Template
from search.graph.build import CAPTURED
from search.graph.network import OpClass
from search.precision import Format
from search.targets.placement import Placement


@dataclass(frozen=True)
class QdqModel:
    """The model and what its making found out."""

    model: onnx.ModelProto
    float_biases: tuple[str, ...]
    """Biases that would overflow int32 and stayed float."""
    stored: Mapping[str, str] = field(default_factory=dict)
    """Value of the prepared graph to the value that holds it rounded, where it is stored so."""


@dataclass(frozen=True, kw_only=True)
class QdqOptions:
    """How the graph is written.

    Attributes:
        explicit_moves: Also write Q/DQ after every Reshape, Transpose, ... (same scale; the values do not change).
        guarded: Put a copy (a Sum of one value) behind every rounded value, which no optimizer of ONNX Runtime looks
            through: in a session with default options, too, each operator is computed in float, as written, and not
            by an integer kernel, which rounds otherwise, saturates on some processors, or does not exist.
        prescale: Tensor index to exponent ``k`` of the fp16 pre-scale ``2**-k``.
    """

    explicit_moves: bool = False
    guarded: bool = False
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
        self._stems: set[str] = set()
        self._casts: dict[tuple[str, Format], str] = {}
        self._weights: dict[tuple[str, Format, int | None, bytes], str] = {}
        self._halves: dict[str, str] = {}
        self._outputs = frozenset(template.outputs)
        self._float_biases: list[str] = []
        self._slots: dict[tuple[str, int], tuple[int, Format]] = {}
        self._captured: dict[str, dict[int, Format]] = {}
        for g, group in enumerate(self._network.groups):
            for slot, fmt in zip(group.inputs, placement.read[g], strict=True):
                if slot.index == CAPTURED:
                    self._captured.setdefault(slot.node, {})[slot.tensor] = fmt
                else:
                    self._slots[(slot.node, slot.index)] = (slot.tensor, fmt)
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
        read = self._outputs.union(*(node.input for node in self._parts.nodes), *self._template.nested.values())
        initializers = {**self._template.initializers, **self._parts.initializers}
        model.graph.initializer.extend(tensor for name, tensor in initializers.items() if name in read)
        return QdqModel(model, tuple(self._float_biases), dict(self._current))

    def _node(self, node: onnx.NodeProto) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for index, name in enumerate(node.input):
            value = self._input(node, index, name) if name else name
            if value != name and not self._options.guarded and _must_stay_float(node):
                value = self._copy(value)
            if value != name:
                new.input[index] = value
        if node.name in self._template.nested:
            rename_outer(new, self._outer_names(node.name))
        self._parts.nodes.append(new)
        for index, name in enumerate(node.output):
            tensor = self._stored_here(name)
            if tensor is None:
                continue
            if name in self._outputs:
                new.output[index] = f"{self._template.stem(name)}_QuantizeLinear_Input"
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

    def _outer_names(self, node: str) -> dict[str, str]:
        """What the subgraphs of ``node`` read instead of each outer value: it in the format their slots ask for."""
        formats = self._captured.get(node, {})
        found = {}
        for name in sorted(self._template.nested[node]):
            tensor = self._template.tensor_of.get(name)
            if tensor in formats:
                found[name] = self._read(name, tensor, formats[tensor])
            elif name in self._current:
                found[name] = self._current[name]
        return found

    def _stored_here(self, name: str) -> int | None:
        """Tensor whose rounding stands right after the value ``name``, if any."""
        tensor = self._template.roots.get(name)
        if tensor is None and self._options.explicit_moves:
            tensor = self._template.tensor_of.get(name)
            if tensor is not None and not self._placement.stored[tensor].is_integer:
                return None
        return None if tensor is None or self._format(tensor) is Format.FP32 else tensor

    def _format(self, tensor: int) -> Format:
        """What the tensor is stored in; one of another type than float32 is left alone."""
        return Format.FP32 if tensor in self._template.foreign else self._placement.stored[tensor]

    def _store(self, name: str, written: str, tensor: int) -> None:
        fmt = self._format(tensor)
        if fmt is Format.FP32:
            return
        stem = self._stem(name)
        # A model input that is an output at once leaves as it came; only those that compute on it read the rounded one.
        rounded_output = name in self._outputs and written != name
        target = name if rounded_output else f"{stem}_DequantizeLinear_Output"
        self._round(written, target, tensor, fmt, stem)
        self._current[name] = self._guard(target, stem)

    def _copy(self, value: str) -> str:
        """A copy of ``value`` for one reader that the runtime must not turn into an integer kernel."""
        stem = self._stem(f"{value}_float")
        self._parts.add("Sum", [value], f"{stem}_guarded", f"{stem}_Guard")
        return f"{stem}_guarded"

    def _guard(self, value: str, stem: str) -> str:
        """A copy of a rounded ``value`` that no optimizer looks through; ``value`` itself in a graph without guards."""
        if not self._options.guarded:
            return value
        self._parts.add("Sum", [value], f"{stem}_guarded", f"{stem}_Guard")
        return f"{stem}_guarded"

    def _read(self, name: str, tensor: int, fmt: Format) -> str:
        value = self._current.get(name, name)
        if fmt in (self._placement.stored[tensor], Format.FP32) or tensor in self._template.foreign:
            return value
        if (name, fmt) not in self._casts:
            stem = self._stem(f"{name}_{fmt.value}")
            target = f"{stem}_DequantizeLinear_Output"
            if fmt.is_integer and value in self._template.exposed_moves:
                self._parts.add("Sum", [value], f"{stem}_kept", f"{stem}_Keep")  # a copy nothing is moved across
                value = f"{stem}_kept"
            self._round(value, target, tensor, fmt, stem)
            self._casts[(name, fmt)] = self._guard(target, stem)
        return self._casts[(name, fmt)]

    def _round(self, source: str, target: str, tensor: int, fmt: Format, stem: str) -> None:
        if fmt is Format.FP16:
            self._parts.round_fp16(source, target, stem, self._options.prescale.get(tensor, 0))
        else:
            self._parts.quantize(source, target, self._grids.activation(tensor, fmt), stem)

    def _stem(self, name: str) -> str:
        """A stem for ``name`` that nothing else in this model uses."""
        stem = self._template.stem(name)
        while stem in self._stems:
            name += "#"
            stem = self._template.stem(name)
        self._stems.add(stem)
        return stem

    def _constant(self, index: int, fmt: Format) -> str:
        constant = self._network.constants[index]
        if fmt is Format.FP32:
            return constant.name
        if fmt is Format.FP16:
            return self._fp16_constant(constant.name)
        grid = self._grids.weight(index, fmt)
        key = (constant.name, fmt, grid.axis, grid.scales.tobytes())
        if key not in self._weights:
            stem = self._stem(constant.name)
            value = self._add_weight(stem, grid)
            is_gemm = self._network.groups[constant.group].is_gemm
            self._weights[key] = self._guard(value, stem) if is_gemm else value
        return self._weights[key]

    def _add_weight(self, stem: str, weight: WeightGrid) -> str:
        """Store a constant as integers; return the name of its float image."""
        names = [
            self._kept(f"{stem}_quantized", weight.values),
            self._kept(f"{stem}_scale", weight.scales),
            self._kept(f"{stem}_zero_point", weight.zero_points),
        ]
        target = f"{stem}_DequantizeLinear_Output"
        node = self._parts.add("DequantizeLinear", names, target, f"{stem}_DequantizeLinear")
        if weight.axis is not None:
            axis = onnx.AttributeProto(name="axis", type=onnx.AttributeProto.INT, i=weight.axis)
            node.attribute.append(axis)
        return target

    def _kept(self, name: str, array: Array) -> str:
        self._parts.initializers[name] = self._template.proto(name, array)
        return name

    def _fp16_constant(self, name: str) -> str:
        if name not in self._halves:
            stem = self._stem(name)
            self._kept(f"{stem}_fp16", self._template.half(name))
            self._halves[name] = f"{stem}_fp16_float"
            self._parts.cast(f"{stem}_fp16", self._halves[name], f"{stem}_CastFloat", TensorProto.FLOAT)
        return self._halves[name]

    def _rounds_operands(self, node: onnx.NodeProto) -> bool:
        """Whether scalars this node reads are rounded too: a single elementwise operator that runs in fp16."""
        group = self._template.group_of.get(node.name)
        if group is None or self._network.groups[group].op_class is not OpClass.ELEMENTWISE:
            return False
        return Format.FP16 in self._placement.read[group]

    def _bias(self, bias: Bias) -> str:
        """Name of the bias as the gemm reads it."""
        scales = accumulator_scales(self._network, self._placement, self._grids, bias.group)
        if scales is None:
            is_fp16 = Format.FP16 in self._placement.read[bias.group]
            return self._fp16_constant(bias.name) if is_fp16 else bias.name
        form = self._template.bias_form(bias, scales)
        if form.grid is None:
            self._float_biases.extend([bias.name] * form.overflowed)
            return bias.name
        return self._add_weight(self._stem(f"{bias.name}@{bias.node}"), form.grid)


def _must_stay_float(node: onnx.NodeProto) -> bool:
    """Whether ONNX Runtime makes an integer operator of this node that it then cannot load."""
    dilations = next((list(one.ints) for one in node.attribute if one.name == "dilations"), [])
    return node.op_type == "AveragePool" and any(size != 1 for size in dilations)
