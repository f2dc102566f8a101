"""One prepared graph in which the rounding of every point is switched on or off at run time.

- A tensor: behind its value stands ``If(switch) then round(x) else x``.
- Weights of a gemm: the gemm is linear in them, so ``gemm(x, Wq) = gemm(x, W) + gemm(x, Wq - W)``; the second term
  stands behind ``If(switch)``. The gemm itself keeps constant weights, which the runtime's fast kernels need.
- Any other constant: ``If(switch) then Wq else W``.

All switches off is the float model; one on measures that point alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from search.evaluation.biases import GridSource
from search.evaluation.casts import Parts
from search.evaluation.subgraphs import rename_outer
from search.evaluation.template import Template
from search.graph.build import CAPTURED
from search.precision import Format
from search.quant.fp16 import round_fp16
from search.quant.weights import dequantize_weights
from search.sensitivity.points import Point, PointKind
from search.targets.placement import Placement

_LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Switched:
    """The graph and its switches: point to name of a bool input."""

    model: onnx.ModelProto
    switches: Mapping[Point, str]


def switched_model(
    template: Template,
    placement: Placement,
    grids: GridSource,
    points: Sequence[Point],
    *,
    prescale: Mapping[int, int],
) -> Switched:
    """Build the float model with a switch per point.

    Args:
        template: The prepared model.
        placement: The base: says in which format each point is rounded, and for which readers.
        grids: Scales.
        points: Points that get a switch.
        prescale: Exponents of fp16 pre-scales.
    """
    return _Switching(template, placement, grids, points, prescale).build()


def rounded_weight(template: Template, grids: GridSource, constant: int, fmt: Format) -> npt.NDArray[np.float32]:
    """Values of a constant after rounding to ``fmt``, float32 in the constant's shape."""
    if fmt is Format.FP16:
        return round_fp16(np.asarray(template.array(template.network.constants[constant].name), np.float32))
    grid = grids.weight(constant, fmt)
    return dequantize_weights(grid.values, grid.scales, grid.zero_points, grid.axis)


class _Switching:
    """One graph under construction; lives only inside ``switched_model``."""

    def __init__(
        self,
        template: Template,
        placement: Placement,
        grids: GridSource,
        points: Sequence[Point],
        prescale: Mapping[int, int],
    ) -> None:
        self._template = template
        self._placement = placement
        self._grids = grids
        self._prescale = prescale
        self._names = {point: f"switch/{point.kind.value}/{point.index}" for point in points}
        self._formats = {
            point.index: point.fmt
            for point in points
            if point.kind is PointKind.ACTIVATION and point.index not in template.foreign
        }
        self._weights = {
            (constant.node, constant.index): point
            for point in points
            if point.kind is PointKind.WEIGHT
            for constant in (template.network.constants[point.index],)
        }
        self._parts = Parts()
        self._current: dict[str, str] = {}
        self._edge: dict[str, str] = {}
        self._outputs = frozenset(template.outputs)
        self._slots = {
            (slot.node, slot.index, slot.tensor): placement.read[g][s]
            for g, group in enumerate(template.network.groups)
            for s, slot in enumerate(group.inputs)
        }

    def build(self) -> Switched:
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
        model.graph.initializer.extend({**self._template.initializers, **self._parts.initializers}.values())
        return Switched(model, self._names)

    def _node(self, node: onnx.NodeProto) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        linear: list[tuple[int, Point]] = []
        for index, name in enumerate(node.input):
            new.input[index] = self._input(node.name, index, name)
            point = self._weights.get((node.name, index))
            if point is not None and node.op_type in _LINEAR:
                linear.append((index, point))
            elif point is not None:
                new.input[index] = self._constant(name, point)
        written = [self._written(name) for name in node.output]
        new.output[:] = written
        if linear:
            new.output[0] = f"{node.output[0]}/gemm"
        outer = self._template.nested.get(node.name, frozenset())
        rename_outer(new, {name: self._input(node.name, CAPTURED, name) for name in sorted(outer)})
        self._parts.nodes.append(new)
        for index, point in linear:
            self._add_delta(new, index, point, target=written[0])
        for name, value in zip(node.output, written, strict=True):
            self._at_root(name, value)

    def _written(self, name: str) -> str:
        """Name the writer gives a value: another one where the rounded value must bear the name of a model output."""
        return f"{name}/raw" if name in self._outputs and self._is_stored_low(name) else name

    def _constant(self, name: str, point: Point) -> str:
        """The constant, rounded if its switch is on."""
        rounded = rounded_weight(self._template, self._grids, point.index, point.fmt)
        stem = f"{name}/{point.index}"
        on = helper.make_node("Identity", [self._parts.constant(f"{stem}/rounded", rounded)], [f"{stem}/on"])
        off = helper.make_node("Identity", [name], [f"{stem}/off"])
        self._if(self._names[point], f"{stem}/switched", stem, [on], [off])
        return f"{stem}/switched"

    def _add_delta(self, node: onnx.NodeProto, index: int, point: Point, *, target: str) -> None:
        """Behind a gemm, add what rounding its weights changes if the switch is on."""
        constant = self._template.network.constants[point.index]
        exact = np.asarray(self._template.array(constant.name), np.float32)
        with np.errstate(invalid="ignore"):
            delta = rounded_weight(self._template, self._grids, point.index, point.fmt) - exact
        value = node.output[0]
        stem = f"{value}/{point.index}"
        second = onnx.NodeProto()
        second.CopyFrom(node)
        del second.input[2:]  # the bias is in the first term
        second.input[index] = self._parts.constant(f"{stem}/delta", delta)
        second.name, second.output[0] = f"{stem}/Delta", f"{stem}/part"
        total = helper.make_node("Add", [value, f"{stem}/part"], [f"{stem}/on"], name=f"{stem}/Add")
        keep = helper.make_node("Identity", [value], [f"{stem}/off"])
        self._if(self._names[point], target, stem, [second, total], [keep])

    def _is_stored_low(self, name: str) -> bool:
        """Whether the whole tensor is rounded where it is written (else only where low readers read it)."""
        tensor = self._template.roots.get(name)
        return tensor in self._formats and self._placement.stored[tensor] is self._formats[tensor]

    def _at_root(self, name: str, written: str) -> None:
        if not self._is_stored_low(name):
            return
        target = name if written != name else f"{name}/switched"
        self._switch(written, target, self._template.roots[name], f"{name}/root")
        self._current[name] = target

    def _input(self, node: str, index: int, name: str) -> str:
        """What ``node`` reads instead of the value ``name`` at input ``index``."""
        value = self._current.get(name, name)
        tensor = self._template.tensor_of.get(name, -1)
        low = self._formats.get(tensor)
        fmt = self._slots.get((node, index, tensor))
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
        keep = helper.make_node("Identity", [source], [f"{stem}/off"])
        switch = self._names[Point(PointKind.ACTIVATION, tensor, fmt)]
        self._if(switch, target, stem, parts.nodes, [keep])

    def _if(
        self, switch: str, target: str, stem: str, then: list[onnx.NodeProto], otherwise: list[onnx.NodeProto]
    ) -> None:
        """``target = then's stem/on if switch else otherwise's stem/off``."""
        branches = []
        for name, nodes in (("on", then), ("off", otherwise)):
            output = helper.make_tensor_value_info(f"{stem}/{name}", TensorProto.FLOAT, None)
            branches.append(helper.make_graph(nodes, f"{stem}/{name}/branch", [], [output]))
        node = helper.make_node(
            "If", [switch], [target], name=f"{stem}/If", then_branch=branches[0], else_branch=branches[1]
        )
        self._parts.nodes.append(node)
