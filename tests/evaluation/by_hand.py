"""A placement carried out by hand: node after node, each alone on ONNX Runtime without optimization, rounded in NumPy.

It shares nothing with the Q/DQ builder but the grids: no Q, DQ or Cast node exists here. Since every kernel is the one
that the unoptimized Q/DQ model runs, the outputs must be bit-equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from search.calibration.grids import Grids
from search.evaluation.template import Template
from search.graph.network import OpClass, SlotKind
from search.precision import Format
from search.quant.grid import fake_quantize
from search.targets.placement import Placement

Values = dict[str, Any]
OVERFLOW = 2**31


def run_by_hand(
    template: Template,
    placement: Placement,
    grids: Grids,
    feeds: Mapping[str, Any],
    prescale: Mapping[int, int] | None = None,
) -> Values:
    """Outputs of the float model with every tensor, slot, constant and bias rounded as the placement says."""
    hand = Hand(template, placement, grids, prescale or {})
    return hand.run(feeds)


class Hand:
    """Values by name, rounded as a placement says."""

    def __init__(self, template: Template, placement: Placement, grids: Grids, prescale: Mapping[int, int]) -> None:
        self.template, self.placement, self.grids, self.prescale = template, placement, grids, prescale
        self.network = template.network
        self.constants = {name: numpy_helper.to_array(proto) for name, proto in template.initializers.items()}

    def run(self, feeds: Mapping[str, Any]) -> Values:
        values: Values = dict(feeds)
        raw: Values = dict(feeds)
        for name in feeds:
            self._store(values, name)
        for node in self.template.model.graph.node:
            inputs = [self._operand(node, i, name, values) if name else None for i, name in enumerate(node.input)]
            captured = {name: self._captured(node, name, values) for name in self.template.nested.get(node.name, ())}
            for name, value in zip(node.output, run_node(node, inputs, captured), strict=True):
                if name:
                    values[name] = raw[name] = np.asarray(value)
                    self._store(values, name)
        inputs_too = {value.name for value in self.template.model.graph.input}
        return {name: raw[name] if name in inputs_too else values[name] for name in self.template.outputs}

    def _store(self, values: Values, name: str) -> None:
        for t, tensor in enumerate(self.network.tensors):
            if tensor.name == name:
                values[name] = self._round(values[name], t, self.placement.stored[t])

    def _round(self, value: Any, tensor: int, fmt: Format) -> Any:
        if fmt is Format.FP32 or value.dtype != np.float32:
            return value
        if fmt is Format.FP16:
            factor = np.float32(2.0 ** self.prescale.get(tensor, 0))
            return half(value / factor) * factor
        return fake_quantize(value, self.grids.activation(tensor, fmt))

    def _operand(self, node: Any, index: int, name: str, values: Values) -> Any:
        for g, group in enumerate(self.network.groups):
            for s, slot in enumerate(group.inputs):
                if (slot.node, slot.index) == (node.name, index):
                    return self._read_value(name, values[name], slot.tensor, self.placement.read[g][s])
        for c, constant in enumerate(self.network.constants):
            if (constant.node, constant.index) == (node.name, index):
                return self._constant(c)
        if (node.name, index) in self.template.biases:
            return self._bias(node, index, name)
        if name in self.constants:
            return self._scalar(node, self.constants[name])
        return values[name]

    def _read(self, value: Any, tensor: int, fmt: Format) -> Any:
        return value if fmt is self.placement.stored[tensor] else self._round(value, tensor, fmt)

    def _read_value(self, name: str, value: Any, tensor: int, fmt: Format) -> Any:
        return self._read(value, tensor, fmt)

    def _captured(self, node: Any, name: str, values: Values) -> Any:
        if name in self.constants:
            return self.constants[name]
        tensor = self.template.tensor_of.get(name)
        for g, group in enumerate(self.network.groups):
            for s, slot in enumerate(group.inputs):
                if (slot.node, slot.index, slot.tensor) == (node.name, -1, tensor):
                    return self._read_value(name, values[name], slot.tensor, self.placement.read[g][s])
        return values[name]

    def _constant(self, index: int) -> Any:
        constant, fmt = self.network.constants[index], self.placement.constants[index]
        values = self.constants[constant.name]
        if fmt is Format.FP32:
            return values
        if fmt is Format.FP16:
            return half(values)
        grid = self.grids.weight(index, fmt)
        moved = values if grid.axis is None else np.moveaxis(values, grid.axis, -1)
        steps = np.rint(moved / grid.scales) + grid.zero_points.astype(np.float32)
        low, high = np.iinfo(grid.values.dtype).min, np.iinfo(grid.values.dtype).max
        image = (np.clip(steps, low, high) - grid.zero_points).astype(np.float32) * grid.scales
        return np.ascontiguousarray(image if grid.axis is None else np.moveaxis(image, -1, grid.axis))

    def _scalar(self, node: Any, value: Any) -> Any:
        g = self.template.group_of.get(node.name)
        single = g is not None and self.network.groups[g].op_class is OpClass.ELEMENTWISE
        return half(value) if single and Format.FP16 in self.placement.read[g or 0] else value

    def _bias(self, node: Any, index: int, name: str) -> Any:
        """Each number alone, exactly; ``q = round_half_even(b / (s_x * s_w))``."""
        bias, value = self.template.biases[(node.name, index)], self.constants[name]
        group, formats = self.network.groups[bias.group], self.placement.read[bias.group]
        kinds = {slot.kind: (slot.tensor, fmt) for slot, fmt in zip(group.inputs, formats, strict=True)}
        kept = half(value) if Format.FP16 in formats else value
        if group.op_class is OpClass.RECURRENT or not kinds[SlotKind.ACTIVATION][1].is_integer:
            return kept
        scale = np.float32(self.grids.activation(*kinds[SlotKind.ACTIVATION]).scale)
        weights = self.network.constants_of[bias.group]
        if SlotKind.SECOND in kinds:
            if not kinds[SlotKind.SECOND][1].is_integer:
                return kept
            steps = np.asarray(scale * np.float32(self.grids.activation(*kinds[SlotKind.SECOND]).scale))
        elif self.placement.constants[weights[0]].is_integer:
            steps = scale * self.grids.weight(weights[0], self.placement.constants[weights[0]]).scales
        else:
            return kept
        return self._integer_bias(value, np.asarray(steps, np.float32), group.op_type, weights)

    def _integer_bias(self, value: Any, steps: Any, op_type: str, weights: tuple[int, ...]) -> Any:
        if steps.ndim and self.network.constants[weights[0]].index == 0:
            return value
        axis = 0 if value.ndim == 1 or op_type not in ("Conv", "ConvTranspose") else value.ndim - 3
        axis = axis if op_type in ("Conv", "ConvTranspose") else value.ndim - 1
        if steps.ndim and steps.size > 1 and (not value.ndim or value.shape[axis] % steps.size):
            return value
        out = np.empty_like(value)
        for place in np.ndindex(value.shape):
            step = np.float32(steps if not steps.ndim else steps[place[axis] % steps.size])
            if not (np.isfinite(step) and step > 0):
                return value
            q = round(Fraction(float(value[place])) / Fraction(float(step)))
            if not -OVERFLOW <= q < OVERFLOW:
                return value
            out[place] = np.float32(q) * step
        return out


def half(value: Any) -> Any:
    """To binary16 and back."""
    with np.errstate(over="ignore"):
        return np.asarray(value).astype(np.float16).astype(np.float32)


def run_node(node: onnx.NodeProto, inputs: list[Any], captured: Mapping[str, Any]) -> list[Any]:
    """One node alone, without optimization."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    feeds = dict(captured)
    for i, value in enumerate(inputs):
        if value is not None:
            copy.input[i] = f"in{i}"
            feeds[f"in{i}"] = np.asarray(value)
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype), None)
        for name, value in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([copy], "one", declared, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = dict(
        zip(
            [o.name for o in outputs],
            session.run(None, {name: np.asarray(value) for name, value in feeds.items()}),
            strict=True,
        )
    )
    return [found.get(name) for name in node.output]
