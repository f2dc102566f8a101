"""From a placement to a program of integers, parallel to the Q/DQ graph (``search.evaluation.qdq``).

The prepared model is walked in order. A group is lowered at its last member, in integers where its operator and
formats have an integer form, else its nodes compute in float between integer ends. Nodes outside groups move integers
or compute in float. See docs/numerics.md#lowering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx

from search.evaluation.biases import GridSource
from search.evaluation.lowering.elementwise import lower_elementwise
from search.evaluation.lowering.floats import FloatNodes
from search.evaluation.lowering.gemm import GemmForm
from search.evaluation.lowering.group_context import GroupContext
from search.evaluation.lowering.movement import lower_embedding, lower_movement
from search.evaluation.lowering.norms import lower_norm
from search.evaluation.lowering.pooling import lower_pool
from search.evaluation.lowering.program_builder import ProgramBuilder
from search.evaluation.lowering.rectify import lower_activation
from search.evaluation.lowering.resizing import lower_resize
from search.evaluation.lowering.selection import SELECTING, lower_selection
from search.evaluation.lowering.tables import lower_table
from search.evaluation.template import Template
from search.graph.network import Group, OpClass, SlotKind
from search.simulator.program import Move, Program, Widths
from search.targets.placement import Placement
from search.targets.settings import Arithmetic

_FAMILIES: dict[OpClass, Callable[[GroupContext], bool]] = {
    OpClass.ELEMENTWISE: lower_elementwise,
    OpClass.ACTIVATION: lower_activation,
    OpClass.LUT: lower_table,
    OpClass.NORM: lower_norm,
    OpClass.POOL: lower_pool,
    OpClass.RESIZE: lower_resize,
    OpClass.MOVEMENT: lower_movement,
    OpClass.EMBEDDING: lower_embedding,
}


_EXACT: dict[str, Callable[[GroupContext], bool]] = {"Abs": lower_activation, "Neg": lower_elementwise}
"""Functions of the table family that a chip computes without one: they have a corner, or are straight."""


def _form(group: Group) -> Callable[[GroupContext], bool]:
    """What lowers a group that writes integers: by its operator, else by its class."""
    if group.op_type in SELECTING:
        return lower_selection
    return _EXACT.get(group.op_type, _FAMILIES[group.op_class])


def lower(
    template: Template,
    placement: Placement,
    grids: GridSource,
    arithmetic: Arithmetic,
    *,
    prescale: Mapping[int, int] | None = None,
    extra_outputs: Sequence[str] = (),
) -> Program:
    """Return the integer program of ``placement``.

    Args:
        template: The prepared model.
        placement: Stored and read formats.
        grids: Scales of the calibration in use.
        arithmetic: Widths of the target.
        prescale: Tensor index to exponent ``k`` of the fp16 pre-scale ``2**-k``.
        extra_outputs: Values of the prepared model the program also delivers, in float, after the model's outputs.

    Raises:
        Infeasible: If a gemm's requantizer is out of the range of the chip.
        ValueError: If an extra output does not exist here, because it lies inside a group.
    """
    return _Lowering(template, placement, grids, arithmetic, prescale or {}).program(extra_outputs)


class _Lowering:
    """One program under construction; lives only inside ``lower``."""

    def __init__(
        self,
        template: Template,
        placement: Placement,
        grids: GridSource,
        arithmetic: Arithmetic,
        prescale: Mapping[int, int],
    ) -> None:
        widths = Widths(
            multiplier_bits=arithmetic.multiplier_bits,
            shift_min=arithmetic.shift_min,
            shift_max=arithmetic.shift_max,
            rounding=arithmetic.rounding,
        )
        self._template = template
        self._placement = placement
        self._arithmetic = arithmetic
        self._ledger = ProgramBuilder(template, placement, grids, widths, prescale)
        self._floats = FloatNodes(self._ledger)
        self._waiting: dict[int, list[onnx.NodeProto]] = {}
        self._float_interior: list[str] = []

    def program(self, extra_outputs: Sequence[str]) -> Program:
        source, builder = self._template.model, self._ledger
        for value in source.graph.input:
            if value.name in self._template.roots:
                builder.store(value.name, value.name, self._template.roots[value.name], value.name)
        for node in source.graph.node:
            self._node(node)
        inputs = {value.name for value in source.graph.input}
        extra = [name for name in dict.fromkeys(extra_outputs) if name not in {*self._template.outputs, *inputs}]
        for name in (*self._template.outputs, *extra):
            self._deliver(name, is_input=name in inputs)
        return Program(
            steps=tuple(builder.steps),
            grids=builder.grids,
            constants=builder.constants,
            inputs=tuple(source.graph.input),
            outputs=(*source.graph.output, *(_float_info(name) for name in extra)),
            widths=builder.widths,
            opset=tuple(source.opset_import),
            ir_version=source.ir_version,
            float_interior=tuple(self._float_interior),
            warnings=tuple(builder.warnings),
        )

    def _deliver(self, name: str, *, is_input: bool) -> None:
        """See that the program has a float value of this name; a model input leaves as it came."""
        if is_input:
            return
        if name in self._template.initializers:
            self._ledger.use(name)
            return
        if not self._ledger.is_held(name):
            raise ValueError(f"The program has no value {name!r}.")
        self._ledger.real(self._ledger.held(name))

    def _node(self, node: onnx.NodeProto) -> None:
        index = self._template.group_of.get(node.name)
        if index is None:
            self._outside(node)
            return
        group = self._template.network.groups[index]
        nodes = self._waiting.setdefault(index, [])
        nodes.append(node)
        if len(nodes) == len(group.nodes):
            self._group(index, group, nodes)

    def _outside(self, node: onnx.NodeProto) -> None:
        """A node of no group: it moves integers, or is taken as it is."""
        held = self._ledger.held(node.input[0]) if node.input and node.input[0] else ""
        if held in self._ledger.grids and self._moves(node) and node.op_type != "Cast":
            self._move(node, held)
        else:
            self._floats.add(node, node.name)

    def _moves(self, node: onnx.NodeProto) -> bool:
        """Whether every result is the same tensor as input 0."""
        tensor = self._template.tensor_of.get(node.input[0])
        written = [name for name in node.output if name]
        return tensor is not None and all(
            self._template.tensor_of.get(name) == tensor and name not in self._template.roots for name in written
        )

    def _move(self, node: onnx.NodeProto, held: str) -> None:
        builder = self._ledger
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.input[0] = held
        for index, name in enumerate(node.input[1:], start=1):
            if node.op_type == "Pad" and index == 2:
                new.input[index] = ""  # integers are padded with the zero point
            elif name in self._template.initializers:
                builder.use(name)
            elif name:
                new.input[index] = builder.held(name)
        names = {name: builder.integer_name(name, builder.grids[held]) for name in node.output if name}
        for index, name in enumerate(node.output):
            new.output[index] = names.get(name, "")
        first, *more = names.values()
        builder.steps.append(Move(name=node.name, output=first, node=new, more=tuple(more)))
        for name, integers in names.items():
            builder.hold(name, integers)

    def _group(self, index: int, group: Group, nodes: Sequence[onnx.NodeProto]) -> None:
        context = GroupContext(self._ledger, index, nodes, self._arithmetic)
        if group.op_class is OpClass.GEMM and context.writes_one_value:
            form = GemmForm(context)
            if form.is_integer:
                form.append()
                self._add_floats(form.remaining, group.name)
                return
        elif self._has_integer_ends(context) and _form(group)(context):
            return
        if group.op_class is not OpClass.FLOAT and self._is_quantized(index):
            self._float_interior.append(group.name)
        self._add_floats(nodes, group.name)

    def _has_integer_ends(self, context: GroupContext) -> bool:
        """Whether a group of a known family writes one value, as integers."""
        return context.group.op_class in _FAMILIES and context.writes_one_value and context.out_grid is not None

    def _is_quantized(self, index: int) -> bool:
        """Whether the group reads integers throughout, recurrent states excepted."""
        network = self._template.network
        slots = zip(network.groups[index].inputs, self._placement.read[index], strict=True)
        formats = [fmt for slot, fmt in slots if slot.kind is not SlotKind.STATE]
        formats += [self._placement.constants[c] for c in network.constants_of[index]]
        return bool(formats) and all(fmt.is_integer for fmt in formats)

    def _add_floats(self, nodes: Sequence[onnx.NodeProto], name: str) -> None:
        for node in nodes:
            self._floats.add(node, name)


def _float_info(name: str) -> onnx.ValueInfoProto:
    info = onnx.ValueInfoProto(name=name)
    info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return info
