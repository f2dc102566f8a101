"""The prepared float model in parts, so that a Q/DQ graph is assembled by copying nodes, not by rewriting a model.

Made once per study; weights are quantized once per format and always from the float weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from search.graph.build import Structure
from search.graph.network import Network, OpClass


@dataclass(frozen=True)
class Bias:
    """A constant added to the accumulator of gemm ``group``: input ``index`` of ``node``, channels on ``axis``."""

    group: int
    node: str
    index: int
    name: str


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
    """

    model: onnx.ModelProto
    network: Network
    tensor_of: Mapping[str, int]
    roots: Mapping[str, int]
    initializers: Mapping[str, onnx.TensorProto]
    biases: Mapping[tuple[str, int], Bias]
    group_of: Mapping[str, int]
    _arrays: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict, repr=False)

    def array(self, name: str) -> npt.NDArray[np.generic]:
        """Values of the initializer ``name``, read-only."""
        if name not in self._arrays:
            array = numpy_helper.to_array(self.initializers[name])
            array.setflags(write=False)
            self._arrays[name] = array
        return self._arrays[name]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the model outputs."""
        return tuple(value.name for value in self.model.graph.output)


def make_template(model: onnx.ModelProto, structure: Structure) -> Template:
    """Take ``model`` apart. The model must be the one ``structure`` was built from."""
    network = structure.network
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    group_of = {name: g for g, group in enumerate(network.groups) for name in group.nodes}
    roots = {tensor.name: t for t, tensor in enumerate(network.tensors)}
    return Template(
        model=model,
        network=network,
        tensor_of=dict(structure.tensor_of),
        roots=roots,
        initializers=initializers,
        biases=_biases(model, network, initializers, group_of),
        group_of=group_of,
    )


def _biases(
    model: onnx.ModelProto,
    network: Network,
    initializers: Mapping[str, onnx.TensorProto],
    group_of: Mapping[str, int],
) -> dict[tuple[str, int], Bias]:
    """Constants a gemm adds to its accumulator: input 2 of the gemm, or the constant of an Add it took in."""
    points = {(constant.node, constant.index) for constant in network.constants}
    found = {}
    for node in model.graph.node:
        group = group_of.get(node.name)
        if group is None or network.groups[group].op_class is not OpClass.GEMM:
            continue
        is_anchor = node.name == network.groups[group].name
        for index, name in enumerate(node.input):
            adds = (is_anchor and index == 2) or (not is_anchor and node.op_type == "Add")
            if adds and name in initializers and (node.name, index) not in points:
                found[(node.name, index)] = Bias(group, node.name, index, name)
    return found
