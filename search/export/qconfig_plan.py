"""The assignment per PyTorch module: what Horizon's plugin is told about inputs, weights and outputs of each.

A group becomes entries at the nodes where its decisions act: the node that reads (inputs), the node that holds the
weight, the node whose output is stored. The plugin sets formats first and fuses afterwards, so Conv+Add+Relu gives its
input and weight format at the Conv, the added tensor's format at the Add and the stored format at the Relu.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from search.deployment.deployment import Deployment
from search.deployment.members import acting_nodes, ending_node
from search.export.hmct_config import FLOAT_BY_DEFAULT
from search.export.torch_scope import ScopeMap, map_scopes
from search.graph.network import Constant, ConstantKind, OpClass
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
        threshold: Range limit of the output, None where it is no integer; ``scale = threshold / 2**(bits - 1)``.
        fixed: Whether that range was stated instead of measured.
        whole: First input, weight and stored output of the group: what the module that its members are fused into does.
    """

    name: str
    inputs: tuple[Format, ...] = ()
    weight: Format | None = None
    output: Format | None = None
    frozen: bool = False
    threshold: float | None = None
    fixed: bool = False
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
    fixed: bool = False
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
            fixed=self.fixed,
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


def qconfig_plan(deployment: Deployment) -> QconfigPlan:
    """Return the entries of a deployment."""
    scopes = scope_map(deployment)
    collector = _Collector(scopes)
    for index in range(len(deployment.network.groups)):
        _collect(collector, deployment, index)
    ratio = deployment.achieved_ratio
    return QconfigPlan(
        modules=tuple(entry.finish(name) for name, entry in collector.mapped.items()),
        unmapped=tuple(entry.finish(name) for name, entry in collector.unmapped.items()),
        inputs=tuple(_input_entries(deployment)),
        shared=tuple(sorted(scopes.shared)),
        fixed_activations=ratio is not None and ratio >= FIXED_ACTIVATIONS_FROM,
    )


def scope_map(deployment: Deployment) -> ScopeMap:
    """Return the module paths of the deployment's nodes."""
    members = {index: acting_nodes(deployment, index) for index in range(len(deployment.network.groups))}
    return map_scopes(members, deployment.node_types)


def _collect(collector: _Collector, deployment: Deployment, index: int) -> None:
    group = deployment.network.groups[index]
    touched: list[_Entry] = []
    for node, tensor, fmt in _reads(deployment, index):
        entry = collector.at(node)
        entry.inputs.append((tensor, fmt))
        touched.append(entry)
    for c in deployment.network.constants_of[index]:
        constant = deployment.network.constants[c]
        if not _is_input(constant, group.op_class):
            entry = collector.at(constant.node)
            entry.weight = deployment.placement.constants[c]
            touched.append(entry)
    for tensor in group.outputs:
        entry = collector.at(ending_node(deployment, index))
        entry.output = deployment.placement.stored[tensor]
        entry.threshold = _threshold(deployment, tensor)
        entry.fixed = deployment.fixed_grid(tensor) is not None
        touched.append(entry)
    frozen = _is_frozen(deployment, index)
    for entry in touched:
        entry.frozen |= frozen
        entry.whole = _whole(deployment, index)


def _whole(deployment: Deployment, index: int) -> Whole:
    group = deployment.network.groups[index]
    weights = [
        c for c in deployment.network.constants_of[index] if deployment.network.constants[c].kind is ConstantKind.WEIGHT
    ]
    return (
        deployment.placement.read[index][0] if group.inputs else None,
        deployment.placement.constants[weights[0]] if weights else None,
        deployment.placement.stored[group.outputs[0]] if group.outputs else None,
    )


def _reads(deployment: Deployment, index: int) -> list[tuple[str, int, Format]]:
    """Return what a group reads as ``(node, tensor, format)``, by node and input position.

    A constant operand of an elementwise operator is an input too; it gets a negative tensor number of its own.
    """
    group = deployment.network.groups[index]
    found = [(slot.node, slot.index, slot.tensor, fmt) for slot, fmt in deployment.slots(index)]
    for c in deployment.network.constants_of[index]:
        constant = deployment.network.constants[c]
        if _is_input(constant, group.op_class):
            found.append((constant.node, constant.index, -1 - c, deployment.placement.constants[c]))
    return [(node, tensor, fmt) for node, _, tensor, fmt in sorted(found, key=lambda item: item[:2])]


def _is_input(constant: Constant, op_class: OpClass) -> bool:
    return constant.kind is ConstantKind.OPERAND and op_class is OpClass.ELEMENTWISE


def _is_frozen(deployment: Deployment, index: int) -> bool:
    """Tell whether nothing may change a group afterwards: a frozen pin, or one of the few fp16 groups of J6E/M."""
    pin = deployment.pins.get(index)
    scarce_fp16 = deployment.effective[index].is_float and deployment.march not in FLOAT_BY_DEFAULT
    return scarce_fp16 or (pin is not None and pin.freeze)


def _input_entries(deployment: Deployment) -> Iterator[InputFormats]:
    for t, tensor in enumerate(deployment.network.tensors):
        if tensor.writer is None:
            yield InputFormats(
                name=tensor.name, output=deployment.placement.stored[t], threshold=_threshold(deployment, t)
            )


def _threshold(deployment: Deployment, tensor: int) -> float | None:
    """Range limit a tensor is stored with; None where it is stored in float."""
    stored = deployment.placement.stored[tensor]
    return deployment.grid(tensor, stored).threshold if stored.is_integer else None
