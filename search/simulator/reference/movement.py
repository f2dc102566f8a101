"""Values put elsewhere, and operators of ONNX as they are: each a session of one node, without optimization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from search.arrays import Array
from search.runtime.session import Level, Session
from search.simulator.program import Concat, Float, Lookup, Move, PadWith, Program
from search.simulator.reference.values import Values


def run_concat(step: Concat, values: Values) -> Array:
    """Every operand on the output's grid, one behind the other."""
    parts = [
        values.saturated(values.rescaled(values.centered(operand), rescale), step.output)
        for operand, rescale in zip(step.operands, step.rescales, strict=True)
    ]
    return np.concatenate(parts, axis=step.axis)


def run_pad(step: PadWith, values: Values) -> Array:
    """``value`` around the integers; a negative pad cuts."""
    q = values.saturated(values.rescaled(values.centered(step.input), step.rescale), step.output)
    rank = q.ndim
    ends = [(step.pads[i], step.pads[rank + i]) for i in range(rank)]
    q = q[tuple(slice(max(0, -begin), size - max(0, -end)) for (begin, end), size in zip(ends, q.shape, strict=True))]
    return np.pad(q, [(max(0, begin), max(0, end)) for begin, end in ends], constant_values=step.value)


def run_lookup(step: Lookup, values: Values) -> Array:
    """Rows of a constant table."""
    return np.take(step.table, values[step.indices].astype(np.int64), axis=step.axis)


class Operators:
    """The ``Move`` and ``Float`` nodes of a program; their sessions are made once per node, types and ranks."""

    def __init__(self, program: Program) -> None:
        """Make no session yet."""
        self._program = program
        self._sessions: dict[tuple[object, ...], Session] = {}

    def run_float(self, step: Float, values: Values) -> dict[str, Array]:
        """Run the node on its values as they are."""
        feeds = {name: values[name] for name in self._inputs(step, values)}
        return self._run(step, feeds)

    def run_move(self, step: Move, values: Values) -> dict[str, Array]:
        """Run the node on ``x'`` held as float32 (exact: below 2**24), and put the zero point back."""
        feeds = {
            name: values.centered(name).astype(np.float32) if values.is_integer(name) else values[name]
            for name in self._inputs(step, values)
        }
        moved = self._run(step, feeds)
        return {
            name: array.astype(np.int64) + values.grid(name).zero_point if values.is_integer(name) else array
            for name, array in moved.items()
        }

    def _inputs(self, step: Float | Move, values: Values) -> list[str]:
        """Values the node reads; constants are part of its model."""
        return [name for name in _reads(step.node) if name in values and name not in self._program.constants]

    def _run(self, step: Float | Move, feeds: Mapping[str, Array]) -> dict[str, Array]:
        signature = tuple((name, array.dtype, array.ndim) for name, array in feeds.items())
        key = (id(step), signature)
        if key not in self._sessions:
            self._sessions[key] = Session(self._model(step.node, feeds), level=Level.PLAIN)
        return self._sessions[key].run(feeds, [name for name in (step.output, *step.more) if name])

    def _model(self, node: onnx.NodeProto, feeds: Mapping[str, Array]) -> onnx.ModelProto:
        constants = self._program.constants
        graph = helper.make_graph(
            [node],
            "node",
            [_value_info(name, array) for name, array in feeds.items()],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
            [constants[name] for name in _reads(node) if name in constants],
        )
        model = helper.make_model(graph, opset_imports=list(self._program.opset))
        model.ir_version = self._program.ir_version
        return model


def _value_info(name: str, array: Array) -> onnx.ValueInfoProto:
    shape: Sequence[None] = [None] * array.ndim
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape)


def _reads(node: onnx.NodeProto) -> list[str]:
    """Names a node reads, those of its subgraphs included, each once."""
    return list(dict.fromkeys(name for name in _all_reads(node) if name))


def _all_reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
        for graph in graphs:
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from _all_reads(inner)
