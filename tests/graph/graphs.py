"""Models seen as groups, the way a study does it: read, bring into normal form, run once, group."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from search.calibration.collect import with_outputs
from search.graph.build import Structure, build_structure
from search.graph.fusion import Fusion
from search.graph.load import read_model
from search.graph.network import Group, SlotKind, Tensor
from search.graph.prepared import prepare
from search.graph.shape_values import fold_shape_values, shape_values
from tests.builders import random_feeds, run, save

RNG = np.random.default_rng(11)


@dataclass(frozen=True, eq=False)
class Seen:
    """A prepared graph and what was found in it."""

    graph: ir.Graph
    structure: Structure
    values: dict[str, np.ndarray]

    @property
    def network(self):
        return self.structure.network

    @property
    def summary(self) -> list[tuple[str, ...]]:
        """Operator and member nodes per group, the naming one first."""
        return [(group.op_type, *group.nodes) for group in self.network.groups]

    def group(self, name: str) -> Group:
        return next(group for group in self.network.groups if group.name == name)

    def index(self, name: str) -> int:
        return next(g for g, group in enumerate(self.network.groups) if group.name == name)

    def tensor(self, value: str) -> Tensor:
        return self.network.tensors[self.structure.tensor_of[value]]

    def reads(self, name: str) -> list[tuple[str, SlotKind]]:
        """Tensor name and kind per slot of a group."""
        return [(self.network.tensors[slot.tensor].name, slot.kind) for slot in self.group(name).inputs]

    def constants(self, name: str) -> list[tuple]:
        """Name, kind, axis per constant of a group."""
        found = [self.network.constants[c] for c in self.network.constants_of[self.index(name)]]
        return [(constant.name, constant.kind.value, constant.axis) for constant in found]


def normal_form(proto: onnx.ModelProto) -> ir.Model:
    with tempfile.TemporaryDirectory() as folder:
        return prepare(read_model(save(proto, Path(folder))), run).model


def traced(model: ir.Model, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Every value of one run; types of values are written into the graph."""
    names = [value.name for node in model.graph for value in node.outputs if value.name]
    proto = with_outputs(ir.to_proto(model), names)
    feeds = random_feeds(proto, np.random.default_rng(seed), batch=batch)
    values = {**feeds, **run(proto, feeds)}
    for node in model.graph:
        for value in node.outputs:
            if value.name and values[value.name] is not None:
                value.dtype = ir.DataType.from_numpy(np.asarray(values[value.name]).dtype)
    return values


def see(proto: onnx.ModelProto, *, batch: int = 1, fold: bool = False, fusion: Fusion | None = None) -> Seen:
    """Group ``proto``, traced with ``batch`` samples; ``fold`` replaces values that depend on shapes first."""
    model = normal_form(proto)
    values = traced(model, batch)
    if fold:
        names = shape_values(model.graph)
        runs = [{name: run_[name] for name in names} for run_ in (values, traced(model, batch + 1, 1))]
        fold_shape_values(model.graph, runs)
    structure = build_structure(model.graph, {k: np.shape(v) for k, v in values.items()}, batch=batch, fusion=fusion)
    assert_consistent(Seen(model.graph, structure, values))
    return Seen(model.graph, structure, values)


def assert_consistent(seen: Seen) -> None:
    """What holds for every graph."""
    network, nodes = seen.network, {node.name: node for node in seen.graph}
    members = [name for group in network.groups for name in group.nodes]
    assert len(set(members)) == len(members)
    assert set(members) <= set(nodes)
    assert set(seen.structure.roles) == set(nodes)
    for g, group in enumerate(network.groups):
        assert group.nodes[0] == group.name
        assert group.macs >= 0
        assert group.elements >= 1
        for slot in group.inputs:
            assert slot.node in group.nodes
            writer = network.tensors[slot.tensor].writer
            assert writer is None or writer < g, "groups are in topological order"
            if slot.index >= 0:
                read = nodes[slot.node].inputs[slot.index]
                assert seen.structure.tensor_of[read.name] == slot.tensor
        for t in group.outputs:
            assert network.tensors[t].writer == g
    for t, tensor in enumerate(network.tensors):
        assert seen.structure.tensor_of[tensor.name] == t
        assert tensor.writer is None or t in network.groups[tensor.writer].outputs
    for constant in network.constants:
        assert constant.node in network.groups[constant.group].nodes
        value = nodes[constant.node].inputs[constant.index]
        assert (value.name, tuple(value.const_value.shape)) == (constant.name, constant.shape)
    assert network.outputs == tuple(value.name for value in seen.graph.outputs)
    assert type(network).from_json(network.to_json()) == network
