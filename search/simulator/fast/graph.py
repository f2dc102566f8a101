"""An ONNX graph under construction: nodes, constants, and each expression once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.arrays import Array

PREFIX = "~"
"""Names made here start with it; no value of a user's model does in practice, and a clash is resolved."""


class Graph:
    """Nodes in the order of computation. An operator without a given output name is written once per inputs."""

    def __init__(self, taken: Iterable[str]) -> None:
        """Start empty; ``taken`` are the names of the program."""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._taken = set(taken)
        self._known: dict[tuple[object, ...], str] = {}
        self._count = 0

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append an operator with one output and return the output's name.

        Args:
            op: Operator of the standard.
            inputs: Names.
            output: The name it must have; else it gets one, and the same expression is not computed twice.
            attributes: Of the operator.
        """
        key = (op, inputs, repr(sorted(attributes.items())))
        if output is None and key in self._known:
            return self._known[key]
        name = self._fresh() if output is None else output
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"{PREFIX}{op} {name}", **attributes))
        self._known.setdefault(key, name)
        return name

    def append(self, node: onnx.NodeProto) -> None:
        """Append a node as it is."""
        self.nodes.append(node)

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Return the name of an initializer with these values; equal ones are shared."""
        array = np.ascontiguousarray(np.asarray(values).astype(dtype)).reshape(np.shape(values))
        key = ("constant", array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = self._fresh()
            self.initializers[name] = numpy_helper.from_array(array, name)
            self._known[key] = name
        return self._known[key]

    def float32(self, values: npt.ArrayLike) -> str:
        """A float32 constant."""
        return self.constant(values, np.float32)

    def float64(self, values: npt.ArrayLike) -> str:
        """A float64 constant."""
        return self.constant(values, np.float64)

    def int64(self, values: npt.ArrayLike) -> str:
        """An int64 constant."""
        return self.constant(values, np.int64)

    def cast(self, name: str, to: int) -> str:
        """A value in another type."""
        return self.add("Cast", name, to=to)

    def doubled(self, name: str) -> str:
        """A float32 value as float64."""
        return self.cast(name, TensorProto.DOUBLE)

    def single(self, name: str) -> str:
        """A value as float32."""
        return self.cast(name, TensorProto.FLOAT)

    def model(
        self,
        *,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        opset: Sequence[onnx.OperatorSetIdProto],
        ir_version: int,
    ) -> onnx.ModelProto:
        """Return the model."""
        graph = helper.make_graph(
            self.nodes, "integers", list(inputs), list(outputs), initializer=list(self.initializers.values())
        )
        model = helper.make_model(graph, opset_imports=list(opset))
        model.ir_version = ir_version
        return model

    def _fresh(self) -> str:
        while True:
            self._count += 1
            name = f"{PREFIX}{self._count}"
            if name not in self._taken:
                return name


Laying: TypeAlias = Callable[[Array, npt.DTypeLike], str]
"""Makes a constant of values per channel ``[C]`` that broadcasts; other shapes stay."""
