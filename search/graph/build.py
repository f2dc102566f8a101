"""From the prepared graph to the ``Network``: groups, tensors, constants, and what became of every node.

A value belongs to the tensor of the value it was moved from; the first value of such a chain is the tensor's root.
Roots are: outputs of groups, float model inputs, model inputs of other types brought to float32 by a Cast, and real
values that depend on shapes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from search.graph.data_free import captured, data_free_values, is_activation, is_cast_at_once
from search.graph.fusion import Fusion
from search.graph.groups import Draft, find_groups
from search.graph.network import Constant, ConstantKind, Group, Network, OpClass, Slot, SlotKind, Tensor
from search.graph.operators import is_float, passes_through
from search.graph.work import elements_of, macs_in_bodies, macs_of, shape_of

CAPTURED = -1
"""Slot index of a tensor that a subgraph of the node reads by name."""


@dataclass(frozen=True, slots=True)
class Role:
    """What one node of the prepared graph is: ``compute | fused | pass_through | float``, and where it went."""

    role: str
    group: int | None
    into: str | None
    why: str


@dataclass(frozen=True)
class Structure:
    """The network and how it lies in the prepared graph.

    Attributes:
        network: Groups, tensors, constants.
        tensor_of: Name of every real value to the index of its tensor, roots included.
        roles: Node name to role.
    """

    network: Network
    tensor_of: Mapping[str, int]
    roles: Mapping[str, Role]


def build_structure(
    graph: ir.Graph, shapes: dict[str, tuple[int, ...]], *, batch: int, fusion: Fusion | None = None
) -> Structure:
    """See ``graph`` as groups and tensors.

    Args:
        graph: Normal form; every node and value is named.
        shapes: Traced shape of every value.
        batch: Samples in the traced run; work and elements are divided by it.
        fusion: What the runtime joins; by default what an accelerator with summing gemms does.
    """
    drafts = find_groups(graph, shapes, fusion or Fusion())
    builder = _Builder(graph, shapes, batch, drafts)
    return builder.build()


class _Builder:
    """Collects tensors while walking the drafts once; lives only inside ``build_structure``."""

    def __init__(
        self, graph: ir.Graph, shapes: dict[str, tuple[int, ...]], batch: int, drafts: tuple[Draft, ...]
    ) -> None:
        self._graph = graph
        self._shapes = shapes
        self._batch = batch
        self._drafts = drafts
        self._writer = {value: g for g, draft in enumerate(drafts) for value in draft.outputs}
        self._index: dict[ir.Value, int] = {}
        self._tensors: list[Tensor] = []

    def build(self) -> Structure:
        constants: list[Constant] = []
        groups = []
        for g, draft in enumerate(self._drafts):
            inputs = tuple(
                Slot(self._tensor(_value(node, i)), kind, node.name or "", i) for node, i, kind in draft.inputs
            ) + tuple(
                Slot(self._tensor(value), SlotKind.ACTIVATION, node.name or "", CAPTURED)
                for node in draft.nodes
                for value in captured(node)
            )
            constants += [_constant(node, i, g, kind, axis) for node, i, kind, axis in draft.constants]
            groups.append(
                Group(
                    name=draft.anchor.name or "",
                    op_type=draft.op_type,
                    op_class=draft.op_class,
                    nodes=tuple(node.name or "" for node in draft.nodes),
                    inputs=inputs,
                    outputs=tuple(self._tensor(value) for value in draft.outputs),
                    macs=self._macs(draft),
                    elements=max(1, sum(elements_of(node, self._shapes) for node in draft.work) // self._batch),
                )
            )
        tensor_of = self._all_values()
        outputs = tuple(value.name or "" for value in self._graph.outputs)
        network = Network(tuple(groups), self._with_outputs(), tuple(constants), outputs)
        return Structure(network, tensor_of, _roles(self._graph, self._drafts))

    def _macs(self, draft: Draft) -> int:
        """Per sample, subgraphs included."""
        own = sum(macs_of(node, self._shapes) for node in draft.nodes) // self._batch
        return own + sum(macs_in_bodies(node, self._shapes, self._batch) for node in draft.nodes)

    def _tensor(self, value: ir.Value) -> int:
        """Index of the tensor ``value`` belongs to, made on first sight."""
        root = root_of(value)
        if root not in self._index:
            self._index[root] = len(self._tensors)
            elements = max(1, int(np.prod(shape_of(root, self._shapes), dtype=np.int64)) // self._batch)
            integers = _integer_range(integer_source(root))
            writer = self._writer.get(root)
            self._tensors.append(Tensor(root.name or "", writer, self._op_name(root), elements, integer_input=integers))
        return self._index[root]

    def _op_name(self, root: ir.Value) -> str:
        """Name of what writes ``root``: a group, a model input, or a node outside the groups."""
        if root in self._writer:
            return self._drafts[self._writer[root]].anchor.name or ""
        node, source = root.producer(), cast_source(root)
        if source is None:
            source = root if node is None else None
        return (source.name if source is not None else node.name if node is not None else "") or ""

    def _all_values(self) -> dict[str, int]:
        """Tensor of every real value that a group reads or writes, or that is or leads to a model output."""
        values = [value for value in self._graph.inputs if is_float(value)]
        values += [value for node in self._graph for value in node.outputs if value.name and is_float(value)]
        inside = {v for draft in self._drafts for node in draft.nodes for v in node.outputs} - set(self._writer)
        values = [value for value in values if value not in inside]
        for value in values:
            if value.is_graph_output():
                self._tensor(value)
        return {
            value.name or "": self._index[root]
            for value in values
            if (root := root_of(value)) in self._index and value.dtype is root.dtype
        }

    def _with_outputs(self) -> tuple[Tensor, ...]:
        named: list[list[str]] = [[] for _ in self._tensors]
        for output in self._graph.outputs:
            if is_float(output) and root_of(output) in self._index:
                named[self._index[root_of(output)]].append(output.name or "")
        return tuple(
            Tensor(t.name, t.writer, t.op_name, t.elements, tuple(names), t.integer_input)
            for t, names in zip(self._tensors, named, strict=True)
        )


def root_of(value: ir.Value) -> ir.Value:
    """First value of the chain of moves that leads to ``value``."""
    node = value.producer()
    while node is not None and passes_through(node) and is_activation(node.inputs[0]):
        value = _value(node, 0)
        node = value.producer()
    return value


def _value(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    if value is None:
        raise ValueError(f"Input {index} of node {node.name!r} is absent.")
    return value


def cast_source(root: ir.Value) -> ir.Value | None:
    """The model input of another type that ``root`` is, brought to float32 by a Cast; else None."""
    node = root.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Cast" else None
    return source if source is not None and is_cast_at_once(source) else integer_source(root)


def integer_source(root: ir.Value) -> ir.Value | None:
    """The integer model input that ``root`` is, brought to float by a Cast and moved at most; else None."""
    node = root.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Cast" else None
    while source is not None and source.dtype is not None and source.dtype.is_integer():
        if source.is_graph_input():
            return source
        node = source.producer()
        source = node.inputs[0] if node is not None and passes_through(node) else None
    return None


def _integer_range(source: ir.Value | None) -> tuple[int, int] | None:
    """Range of the integer type of a model input."""
    if source is None or source.dtype is None or source.dtype.bitwidth < 8:
        return None
    info = np.iinfo(source.dtype.numpy())
    return int(info.min), int(info.max)


def _constant(node: ir.Node, index: int, group: int, kind: ConstantKind, axis: int | None) -> Constant:
    value = _value(node, index)
    if value.const_value is None:
        raise ValueError(f"Input {index} of node {node.name!r} is no constant.")
    shape = tuple(value.const_value.shape.numpy())
    return Constant(value.name or "", group, kind, node.name or "", index, shape, axis)


def _roles(graph: ir.Graph, drafts: tuple[Draft, ...]) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for g, draft in enumerate(drafts):
        name = draft.anchor.name or ""
        role = "float" if draft.op_class is OpClass.FLOAT else "compute"
        why = f"{draft.op_type} is not quantized here" if role == "float" else ""
        roles[name] = Role(role, g, None, why)
        for node in draft.nodes[1:]:
            roles[node.name or ""] = Role("fused", g, name, f"part of {draft.op_type} {name}")
    free = data_free_values(graph)
    for node in graph:
        if node.name not in roles:
            roles[node.name or ""] = _outside(node, free)
    return roles


def _outside(node: ir.Node, free: set[ir.Value]) -> Role:
    if all(value in free for value in node.outputs):
        return Role("float", None, None, "depends on shapes only")
    if node.op_type == "Cast" and passes_through(node):
        return Role("pass_through", None, None, "gives a model output its type")
    if passes_through(node) and is_activation(node.inputs[0]):
        return Role("pass_through", None, None, "moves values; shares format and scale of its input")
    if any(is_float(value) for value in node.outputs):
        return Role("float", None, None, "brings integers to float")
    return Role("float", None, None, "integers only")
