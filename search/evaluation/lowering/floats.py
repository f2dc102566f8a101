"""Nodes that compute in float exactly as in the Q/DQ model: inputs, constants and results are rounded around them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from search.evaluation.biases import Bias, accumulator_scales
from search.evaluation.lowering.program_builder import ProgramBuilder
from search.evaluation.subgraphs import rename_outer
from search.graph.build import CAPTURED
from search.graph.network import OpClass
from search.precision import Format
from search.quant.weights import dequantize_weights
from search.simulator.program import Float


class FloatNodes:
    """Takes nodes into the program as they are; lives only inside ``lower``."""

    def __init__(self, builder: ProgramBuilder) -> None:
        self._ledger = builder
        self._template = builder.template
        self._placement = builder.placement
        self._network = builder.template.network
        self._slots: dict[tuple[str, int], tuple[int, Format]] = {}
        self._captured: dict[str, dict[int, Format]] = {}
        for group, formats in zip(self._network.groups, self._placement.read, strict=True):
            for slot, fmt in zip(group.inputs, formats, strict=True):
                if slot.index == CAPTURED:
                    self._captured.setdefault(slot.node, {})[slot.tensor] = fmt
                else:
                    self._slots[slot.node, slot.index] = (slot.tensor, fmt)
        self._constants = {(c.node, c.index): i for i, c in enumerate(self._network.constants)}
        self._images: dict[tuple[str, Format, bytes], str] = {}

    def add(self, node: onnx.NodeProto, name: str) -> None:
        """Append ``node``; ``name`` is what messages call it. Its results are stored as the placement says."""
        builder = self._ledger
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for index, value in enumerate(node.input):
            if value:
                new.input[index] = self._input(node, index, value)
        if node.name in self._template.nested:
            rename_outer(new, self._outer_names(node.name))
        written = {value: self._written(value) for value in node.output if value}
        for index, value in enumerate(node.output):
            new.output[index] = written.get(value, "")
        names = list(written.values())
        builder.steps.append(Float(name=name, output=names[0], node=new, more=tuple(names[1:])))
        self._store(written, name)

    def _written(self, value: str) -> str:
        return self._ledger.name_for_written(value, self._template.roots.get(value))

    def _store(self, written: Mapping[str, str], node: str) -> None:
        for value, program_value in written.items():
            tensor = self._template.roots.get(value)
            if tensor is None:
                self._ledger.hold(value, program_value)
            else:
                self._ledger.store(value, program_value, tensor, node)

    def _input(self, node: onnx.NodeProto, index: int, value: str) -> str:
        place = (node.name, index)
        if place in self._slots:
            return self._ledger.real_read(value, *self._slots[place])
        if place in self._constants:
            constant = self._constants[place]
            return self._constant(constant, self._placement.constants[constant])
        if place in self._template.biases:
            return self._bias(self._template.biases[place])
        if value in self._template.initializers:
            return self._half(value) if self._rounds_operands(node) else self._ledger.use(value)
        return self._ledger.real(self._ledger.held(value))

    def _outer_names(self, node: str) -> dict[str, str]:
        """What the subgraphs of ``node`` read instead of each outer value: it in the format their slots ask for."""
        formats = self._captured.get(node, {})
        found = {}
        for name in sorted(self._template.nested[node]):
            tensor = self._template.tensor_of.get(name)
            if tensor is not None and tensor in formats:
                found[name] = self._ledger.real_read(name, tensor, formats[tensor])
            elif name in self._template.initializers:
                self._ledger.use(name)
            elif self._ledger.is_held(name):
                found[name] = self._ledger.real(self._ledger.held(name))
        return found

    def _constant(self, index: int, fmt: Format) -> str:
        constant = self._network.constants[index]
        if fmt is Format.FP32:
            return self._ledger.use(constant.name)
        if fmt is Format.FP16:
            return self._half(constant.name)
        grid = self._ledger.source.weight(index, fmt)
        key = (constant.name, fmt, grid.scales.tobytes())
        if key not in self._images:
            image = dequantize_weights(grid.values, grid.scales, grid.zero_points, grid.axis)
            self._images[key] = self._ledger.constant(f"{constant.name}_{fmt.value}", image)
        return self._images[key]

    def _half(self, name: str) -> str:
        key = (name, Format.FP16, b"")
        if key not in self._images:
            image = np.asarray(self._template.half(name)).astype(np.float32)
            self._images[key] = self._ledger.constant(f"{name}_fp16", image)
        return self._images[key]

    def _bias(self, bias: Bias) -> str:
        """The bias as the gemm of the Q/DQ model reads it."""
        scales = accumulator_scales(self._network, self._placement, self._ledger.source, bias.group)
        if scales is None:
            is_half = Format.FP16 in self._placement.read[bias.group]
            return self._half(bias.name) if is_half else self._ledger.use(bias.name)
        form = self._template.bias_form(bias, scales)
        if form.grid is None:
            return self._ledger.use(bias.name)
        grid = form.grid
        image = dequantize_weights(grid.values, grid.scales, grid.zero_points, grid.axis)
        return self._ledger.constant(f"{bias.name}@{bias.node}", image)

    def _rounds_operands(self, node: onnx.NodeProto) -> bool:
        """Whether scalars this node reads are rounded too: a single elementwise operator that runs in fp16."""
        group = self._template.group_of.get(node.name)
        if group is None or self._network.groups[group].op_class is not OpClass.ELEMENTWISE:
            return False
        return Format.FP16 in self._placement.read[group]
