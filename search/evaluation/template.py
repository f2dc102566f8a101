"""The prepared float model in parts, so that a Q/DQ graph is assembled by copying nodes, not by rewriting a model.

Made once per study; weights are quantized once per format and always from the float weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from search.arrays import Array
from search.evaluation.biases import Bias, BiasForm, find_biases, quantized_bias
from search.evaluation.casts import SUFFIXES
from search.evaluation.subgraphs import outer_reads
from search.graph.build import Structure
from search.graph.network import Network

Sizes: TypeAlias = tuple[int | None, ...]


@dataclass(frozen=True)
class Template:
    """Parts of the prepared float model.

    Attributes:
        model: The prepared model (opset 21 or higher, every node named).
        network: Groups and tensors.
        tensor_of: Real value name to tensor index.
        roots: Value name to tensor index, for the values that writers produce.
        initializers: Name to constant.
        biases: ``(node, input index)`` to bias.
        group_of: Node name to group index, members of groups only.
        foreign: Tensors of another type than float32 (float16, double): their operators stay as they are.
        nested: Node name to what its subgraphs read from outside; nodes with subgraphs only.
        shapes: Value name to its sizes when the model ran, None where they follow the number of samples.
    """

    model: onnx.ModelProto
    network: Network
    tensor_of: Mapping[str, int]
    roots: Mapping[str, int]
    initializers: Mapping[str, onnx.TensorProto]
    biases: Mapping[tuple[str, int], Bias]
    group_of: Mapping[str, int]
    foreign: frozenset[int] = frozenset()
    nested: Mapping[str, frozenset[str]] = field(default_factory=dict)
    shapes: Mapping[str, Sizes] = field(default_factory=dict)
    _arrays: dict[str, Array] = field(default_factory=dict, repr=False)
    _halves: dict[str, npt.NDArray[np.float16]] = field(default_factory=dict, repr=False)
    _protos: dict[str, tuple[object, onnx.TensorProto]] = field(default_factory=dict, repr=False)
    _stems: dict[str, str] = field(default_factory=dict, repr=False)
    _bias_forms: dict[tuple[str, int, bytes], BiasForm] = field(default_factory=dict, repr=False)

    def array(self, name: str) -> Array:
        """Values of the initializer ``name``, read-only."""
        if name not in self._arrays:
            array = numpy_helper.to_array(self.initializers[name])
            array.setflags(write=False)
            self._arrays[name] = array
        return self._arrays[name]

    def bias_form(self, bias: Bias, scales: npt.NDArray[np.float32]) -> BiasForm:
        """How ``bias`` is stored under the accumulator ``scales``."""
        key = (bias.node, bias.index, scales.tobytes())
        if key not in self._bias_forms:
            values = np.asarray(self.array(bias.name), dtype=np.float32)
            self._bias_forms[key] = quantized_bias(bias, values, scales)
        return self._bias_forms[key]

    def half(self, name: str) -> npt.NDArray[np.float16]:
        """Values of the initializer ``name`` in binary16."""
        if name not in self._halves:
            with np.errstate(over="ignore"):
                self._halves[name] = np.asarray(self.array(name)).astype(np.float16)
        return self._halves[name]

    def proto(self, name: str, array: Array) -> onnx.TensorProto:
        """``array`` as an initializer; the last one of that name is kept, since most of a model stays the same."""
        known = self._protos.get(name)
        if known is None or known[0] is not array:
            known = self._protos[name] = (array, numpy_helper.from_array(np.asarray(array), name))
        return known[1]

    def stem(self, name: str) -> str:
        """``name``, or what comes close to it, so that no name derived from it is one of the model's own."""
        if name not in self._stems:
            stem = name
            while any(stem + suffix in self.names for suffix in SUFFIXES):
                stem += "#"
            self._stems[name] = stem
        return self._stems[name]

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the model outputs."""
        return tuple(value.name for value in self.model.graph.output)

    @cached_property
    def exposed_moves(self) -> frozenset[str]:
        """Outputs of a Transpose whose input is also a model output or read by a subgraph.

        Before a QuantizeLinear behind such a Transpose the runtime's optimizer puts a Q/DQ pair in front of the
        Transpose, too. It sees that nothing else reads the value there, but overlooks outputs and subgraphs, which
        would then get it rounded.
        """
        seen = frozenset(self.outputs).union(*self.nested.values())
        return frozenset(
            node.output[0] for node in self.model.graph.node if node.op_type == "Transpose" and node.input[0] in seen
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name of the main graph and every outer name a subgraph reads."""
        graph = self.model.graph
        names = {node.name for node in graph.node} | set(self.initializers) | set(self.tensor_of)
        names.update(value.name for value in graph.input)
        for node in graph.node:
            names.update(node.input, node.output)
        return frozenset(names.union(*self.nested.values()))


def make_template(model: onnx.ModelProto, structure: Structure, shapes: Mapping[str, Sizes] | None = None) -> Template:
    """Take ``model`` apart. The model must be the one ``structure`` was built from.

    Args:
        model: The prepared model.
        structure: Its groups and tensors.
        shapes: Sizes of its values; an operator that needs one that is not there has no integer form.
    """
    network = structure.network
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    group_of = {name: g for g, group in enumerate(network.groups) for name in group.nodes}
    roots = {tensor.name: t for t, tensor in enumerate(network.tensors)}
    types = _element_types(model)
    return Template(
        model=model,
        network=network,
        tensor_of=dict(structure.tensor_of),
        roots=roots,
        initializers=initializers,
        biases=find_biases(model, network, initializers, group_of),
        group_of=group_of,
        foreign=frozenset(t for name, t in roots.items() if types.get(name, TensorProto.FLOAT) != TensorProto.FLOAT),
        nested={node.name: reads for node in model.graph.node if (reads := outer_reads(node))},
        shapes=dict(shapes or {}),
    )


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Value name to element type, where the model states it."""
    graph = model.graph
    stated = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)
    }
    return {name: kind for name, kind in stated.items() if kind != TensorProto.UNDEFINED}
