"""The assignment per PyTorch module: what Horizon's plugin is told about inputs, weights and outputs of each.

A group becomes entries at the nodes where its decisions act: the node that reads (inputs), the node that holds the
weight, the node whose output is stored. The plugin sets formats first and fuses afterwards, so Conv+Add+Relu gives its
input and weight format at the Conv, the added tensor's format at the Add and the stored format at the Relu.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from search.export.hmct_config import FLOAT_BY_DEFAULT
from search.export.solution import Solution
from search.export.torch_scope import ScopeMap, map_scopes
from search.graph.network import Constant, ConstantKind, Group, OpClass
from search.precision import Format

FIXED_ACTIVATIONS_FROM = 0.95
"""Share of the float accuracy from which QAT with fixed activation scales is worth trying (the vendor's figure)."""


Whole: TypeAlias = tuple[Format | None, Format | None, Format | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFormats:
    """What one module, or one node without module, is told.

    Attributes:
        name: Module path, or the node name where no path could be derived.
        inputs: Formats read, by position; empty if the module reads no stored tensor.
        weight: Format of its constants, or None.
        output: Stored format of its output, or None if the output is fused away.
        frozen: Whether later templates may not change the entry.
        threshold: Range limit of the output where it is fixed, else None; ``scale = threshold / 2**(bits - 1)``.
        whole: First input, weight and stored output of the group: what the module that its members are fused into does.
    """

    name: str
    inputs: tuple[Format, ...] = ()
    weight: Format | None = None
    output: Format | None = None
    frozen: bool = False
    threshold: float | None = None
    whole: Whole = (None, None, None)

    @property
    def input_formats(self) -> tuple[Format, ...]:
        """The formats read, as one where they are all the same."""
        return self.inputs[:1] if len(set(self.inputs)) == 1 else self.inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFormats:
    """What a model input (its QuantStub) is told."""

    name: str
    output: Format
    threshold: float | None


@dataclass(frozen=True, kw_only=True)
class QconfigPlan:
    """Entries in network order.

    Attributes:
        modules: Entries with a module path, each path once.
        unmapped: Entries of nodes whose name gives no path.
        inputs: Entries of the model inputs; the module name of their QuantStub is not in the ONNX file.
        shared: Module paths that several groups run in, hence unmapped.
        fixed_activations: Whether to offer QAT with fixed activation scales.
    """

    modules: tuple[ModuleFormats, ...]
    unmapped: tuple[ModuleFormats, ...]
    inputs: tuple[InputFormats, ...]
    shared: tuple[str, ...]
    fixed_activations: bool


@dataclass
class _Entry:
    """One entry while it is collected."""

    inputs: list[tuple[int, Format]] = field(default_factory=list)
    weight: Format | None = None
    output: Format | None = None
    frozen: bool = False
    threshold: float | None = None
    whole: Whole = (None, None, None)

    def finish(self, name: str) -> ModuleFormats:
        """Return the entry; a tensor that several nodes of one module read counts once."""
        return ModuleFormats(
            name=name,
            inputs=tuple(fmt for _, fmt in dict.fromkeys(self.inputs)),
            weight=self.weight,
            output=self.output,
            frozen=self.frozen,
            threshold=self.threshold,
            whole=self.whole,
        )


@dataclass
class _Collector:
    """Entries by module path and, where there is none, by node."""

    scopes: ScopeMap
    mapped: dict[str, _Entry] = field(default_factory=dict)
    unmapped: dict[str, _Entry] = field(default_factory=dict)

    def at(self, node: str) -> _Entry:
        """Return the entry of a node, made on first use."""
        module = self.scopes.modules.get(node)
        if module is not None:
            return self.mapped.setdefault(module, _Entry())
        return self.unmapped.setdefault(node, _Entry())


def qconfig_plan(solution: Solution) -> QconfigPlan:
    """Return the entries of a solution."""
    scopes = scope_map(solution)
    collector = _Collector(scopes)
    for index in range(len(solution.network.groups)):
        _collect(collector, solution, index)
    ratio = solution.achieved_ratio
    return QconfigPlan(
        modules=tuple(entry.finish(name) for name, entry in collector.mapped.items()),
        unmapped=tuple(entry.finish(name) for name, entry in collector.unmapped.items()),
        inputs=tuple(_input_entries(solution)),
        shared=tuple(sorted(scopes.shared)),
        fixed_activations=ratio is not None and ratio >= FIXED_ACTIVATIONS_FROM,
    )


def scope_map(solution: Solution) -> ScopeMap:
    """Return the module paths of the solution's nodes."""
    members = {index: acting_nodes(solution, index) for index in range(len(solution.network.groups))}
    return map_scopes(members, solution.node_types)


def acting_nodes(solution: Solution, index: int) -> tuple[str, ...]:
    """Return the nodes of a group: its members, and those that read for it under another name."""
    group = solution.network.groups[index]
    return tuple(dict.fromkeys([*group.nodes, *(slot.node for slot in group.inputs)]))


def ending_node(group: Group) -> str:
    """Return the node whose output is stored: the last one fused into a gemm, else the one that names the group."""
    return group.nodes[-1] if group.op_class is OpClass.GEMM else group.name


def _collect(collector: _Collector, solution: Solution, index: int) -> None:
    group = solution.network.groups[index]
    touched: list[_Entry] = []
    for node, tensor, fmt in _reads(solution, index):
        entry = collector.at(node)
        entry.inputs.append((tensor, fmt))
        touched.append(entry)
    for c in solution.network.constants_of[index]:
        constant = solution.network.constants[c]
        if not _is_input(constant, group.op_class):
            entry = collector.at(constant.node)
            entry.weight = solution.placement.constants[c]
            touched.append(entry)
    for tensor in group.outputs:
        entry = collector.at(ending_node(group))
        entry.output = solution.placement.stored[tensor]
        fixed = solution.fixed_grid(tensor)
        entry.threshold = fixed.threshold if fixed is not None else None
        touched.append(entry)
    frozen = _is_frozen(solution, index)
    for entry in touched:
        entry.frozen |= frozen
        entry.whole = _whole(solution, index)


def _whole(solution: Solution, index: int) -> Whole:
    group = solution.network.groups[index]
    weights = [
        c for c in solution.network.constants_of[index] if solution.network.constants[c].kind is ConstantKind.WEIGHT
    ]
    return (
        solution.placement.read[index][0] if group.inputs else None,
        solution.placement.constants[weights[0]] if weights else None,
        solution.placement.stored[group.outputs[0]] if group.outputs else None,
    )


def _reads(solution: Solution, index: int) -> list[tuple[str, int, Format]]:
    """Return what a group reads as ``(node, tensor, format)``, by node and input position.

    A constant operand of an elementwise operator is an input too; it gets a negative tensor number of its own.
    """
    group = solution.network.groups[index]
    found = [(slot.node, slot.index, slot.tensor, fmt) for slot, fmt in solution.slots(index)]
    for c in solution.network.constants_of[index]:
        constant = solution.network.constants[c]
        if _is_input(constant, group.op_class):
            found.append((constant.node, constant.index, -1 - c, solution.placement.constants[c]))
    return [(node, tensor, fmt) for node, _, tensor, fmt in sorted(found, key=lambda item: item[:2])]


def _is_input(constant: Constant, op_class: OpClass) -> bool:
    return constant.kind is ConstantKind.OPERAND and op_class is OpClass.ELEMENTWISE


def _is_frozen(solution: Solution, index: int) -> bool:
    """Tell whether nothing may change a group afterwards: a frozen pin, or one of the few fp16 groups of J6E/M."""
    pin = solution.pins.get(index)
    scarce_fp16 = solution.effective[index].is_float and solution.march not in FLOAT_BY_DEFAULT
    return scarce_fp16 or (pin is not None and pin.freeze)


def _input_entries(solution: Solution) -> Iterator[InputFormats]:
    for t, tensor in enumerate(solution.network.tensors):
        if tensor.writer is None:
            fixed = solution.fixed_grid(t)
            yield InputFormats(
                name=tensor.name,
                output=solution.placement.stored[t],
                threshold=fixed.threshold if fixed is not None else None,
            )
