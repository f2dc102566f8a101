"""One prepared graph in which every activation's rounding is switched on or off at run time.

Behind each rounded value stands ``If(switch) then round(x) else x``. All switches off is the float model; one on
measures that tensor alone. Weights are constants of the graph, so that the convolutions keep their fast layout; a weight row
therefore gets a graph of its own with that one constant rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.evaluation.casts import Parts
from search.evaluation.qdq import GridSource
from search.evaluation.template import Template
from search.precision import Format
from search.targets.placement import Placement


@dataclass(frozen=True)
class Switched:
    """The graph and its switches: tensor index to name of a bool input."""

    model: onnx.ModelProto
    switches: Mapping[int, str]


def switched_model(
    template: Template,
    placement: Placement,
    grids: GridSource,
    tensors: Sequence[int],
    *,
    prescale: Mapping[int, int],
    weights: Mapping[str, npt.NDArray[np.generic]] | None = None,
) -> Switched:
    """Build the float model with a switch per tensor of ``tensors``.

    Args:
        template: The prepared model.
        placement: The base: says in which format each tensor is rounded, and for which readers.
        grids: Scales.
        tensors: Tensors that get a switch.
        prescale: Exponents of fp16 pre-scales.
        weights: Initializers to replace (rounded weights).
    """
    return _Switching(template, placement, grids, tensors, prescale).build(weights or {})


def row_format(template: Template, placement: Placement, tensor: int) -> Format:
    """Lowest format in which the base holds the tensor: stored, or as some reader reads it."""
    formats = {placement.stored[tensor]}
    formats |= {placement.read[g][s] for g, s in template.network.readers[tensor]}
    return min(formats)


class _Switching:
    """One graph under construction; lives only inside ``switched_model``."""

    def __init__(
        self,
        template: Template,
        placement: Placement,
        grids: GridSource,
        tensors: Sequence[int],
        prescale: Mapping[int, int],
    ) -> None:
        self._template = template
        self._placement = placement
        self._grids = grids
        self._prescale = prescale
        self._formats = {t: row_format(template, placement, t) for t in tensors}
        self._names = {t: f"switch/{t}" for t in tensors}
        self._parts = Parts()
        self._current: dict[str, str] = {}
        self._edge: dict[str, str] = {}
        self._outputs = frozenset(template.outputs)
        self._slots = {
            (slot.node, slot.index): (slot.tensor, placement.read[g][s])
            for g, group in enumerate(template.network.groups)
            for s, slot in enumerate(group.inputs)
        }

    def build(self, weights: Mapping[str, npt.NDArray[np.generic]]) -> Switched:
        source = self._template.model
        for value in source.graph.input:
            self._at_root(value.name, value.name)
        for node in source.graph.node:
            self._node(node)
        model = onnx.ModelProto()
        model.ir_version = source.ir_version
        model.opset_import.extend(source.opset_import)
        model.graph.name = "switched"
        model.graph.input.extend(source.graph.input)
        model.graph.input.extend(helper.make_tensor_value_info(n, TensorProto.BOOL, []) for n in self._names.values())
        model.graph.output.extend(source.graph.output)
        model.graph.node.extend(self._parts.nodes)
        replaced = {name: numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()}
        model.graph.initializer.extend({**self._template.initializers, **self._parts.initializers, **replaced}.values())
        return Switched(model, self._names)

    def _node(self, node: onnx.NodeProto) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for index, name in enumerate(node.input):
            new.input[index] = self._input((node.name, index), name)
        self._parts.nodes.append(new)
        for index, name in enumerate(node.output):
            if name in self._outputs and self._is_stored_low(name):
                new.output[index] = f"{name}/raw"
            self._at_root(name, new.output[index])

    def _is_stored_low(self, name: str) -> bool:
        """Whether the whole tensor is rounded where it is written (else only where low readers read it)."""
        tensor = self._template.roots.get(name)
        return tensor in self._formats and self._placement.stored[tensor] is self._formats[tensor]

    def _at_root(self, name: str, written: str) -> None:
        if not self._is_stored_low(name) or (name in self._outputs and written == name):
            return
        target = name if name in self._outputs else f"{name}/switched"
        self._switch(written, target, self._template.roots[name], name)
        self._current[name] = target

    def _input(self, place: tuple[str, int], name: str) -> str:
        value = self._current.get(name, name)
        tensor, fmt = self._slots.get(place, (-1, Format.FP32))
        low = self._formats.get(tensor)
        if low is None or fmt is not low or self._placement.stored[tensor] is low:
            return value
        if name not in self._edge:
            self._switch(value, f"{name}/read", tensor, f"{name}/read")
            self._edge[name] = f"{name}/read"
        return self._edge[name]

    def _switch(self, source: str, target: str, tensor: int, stem: str) -> None:
        parts = Parts(nodes=[], initializers=self._parts.initializers)
        fmt = self._formats[tensor]
        if fmt is Format.FP16:
            parts.round_fp16(source, f"{stem}/on", stem, self._prescale.get(tensor, 0))
        else:
            parts.quantize(source, f"{stem}/on", self._grids.activation(tensor, fmt), stem)
        on = helper.make_graph(parts.nodes, f"{stem}/then", [], [onnx.ValueInfoProto(name=f"{stem}/on")])
        keep = helper.make_node("Identity", [source], [f"{stem}/off"])
        off = helper.make_graph([keep], f"{stem}/else", [], [onnx.ValueInfoProto(name=f"{stem}/off")])
        for graph in (on, off):
            graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
        self._parts.nodes.append(
            helper.make_node("If", [self._names[tensor]], [target], name=f"{stem}/If", then_branch=on, else_branch=off)
        )
