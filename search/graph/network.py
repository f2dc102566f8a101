"""The network as the search sees it: groups that share one decision, and the tensors between them.

A ``Network`` holds names, shapes and work, but no weights and no ONNX objects, so that planning (chip rules,
cost, strategies) needs no model file. It is built once by the ``Check`` task and travels as JSON.

A *tensor* here is a value together with everything that passes it through unchanged (Reshape, Transpose,
Slice of it, ...): those values are stored once, in one format and scale. The value between a gemm and what is fused
into it does not appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any


class OpClass(Enum):
    """Kinds of group that chip rules tell apart."""

    GEMM = "gemm"  #: Conv, ConvTranspose, Gemm, MatMul with whatever is fused into them
    RECURRENT = "recurrent"  #: LSTM, GRU: input and weights quantized, recurrent state in float
    ELEMENTWISE = "elementwise"  #: Add, Sub, Mul, Div, Max, Min of tensors, or of a tensor and a constant
    ACTIVATION = "activation"  #: Relu, LeakyRelu, PRelu, Clip that no gemm took in
    LUT = "lut"  #: unary functions by table: Sigmoid, Exp, Log, Abs, Pow by a constant, GELU, SiLU, HardSwish, ...
    NORM = "norm"  #: LayerNormalization, RMSNorm, InstanceNormalization, Softmax, ... (native or recognised)
    POOL = "pool"  #: MaxPool, AveragePool, their global forms, ReduceMean, ReduceSum, ReduceMax, CumSum
    RESIZE = "resize"  #: Resize, to the nearest value or with interpolation
    WARP = "warp"  #: GridSample
    MOVEMENT = "movement"  #: Concat, Pad with a value other than zero, Where, Scatter and Gather of activations
    EMBEDDING = "embedding"  #: Gather of a constant table
    FLOAT = "float"  #: everything else: stays float and is listed


class SlotKind(Enum):
    """What an input of a group means to the chip."""

    ACTIVATION = "activation"  #: read in the activation format of the group's precision
    SECOND = "second"  #: input 1 of a gemm whose two inputs are activations: the weight format
    SUM_IN = "sum_in"  #: the tensor added by an Add that is fused into a gemm
    FEATURE = "feature"  #: GridSample input 0
    GRID = "grid"  #: GridSample input 1, the coordinates
    STATE = "state"  #: initial state of an LSTM or GRU: read in float, as the recurrence keeps it


class ConstantKind(Enum):
    """What a quantizable constant belongs to."""

    WEIGHT = "weight"  #: of a gemm or recurrent group
    OPERAND = "operand"  #: of any other group, e.g. the addend of an Add, gamma of a LayerNormalization


@dataclass(frozen=True, slots=True)
class Slot:
    """One place where a group reads a tensor: input ``index`` of node ``node`` of the prepared graph."""

    tensor: int
    kind: SlotKind
    node: str
    index: int


@dataclass(frozen=True, slots=True)
class Constant:
    """One quantizable constant, a point of its own.

    ``axis`` is the output-channel axis, or None where only one scale makes sense. ``shape`` is that of the initializer.
    """

    name: str
    group: int
    kind: ConstantKind
    node: str
    index: int
    shape: tuple[int, ...]
    axis: int | None

    @property
    def n_elements(self) -> int:
        """Number of values."""
        n = 1
        for size in self.shape:
            n *= size
        return n


@dataclass(frozen=True, slots=True)
class Tensor:
    """One activation that is stored once: an ONNX value and all that pass it through.

    Attributes:
        name: The value the writer produces, in the prepared graph.
        writer: Index of the group that writes it, or None for a model input.
        op_name: User's name of the node (or model input) that writes it; names its sensitivity row.
        elements: Number of values per sample.
        model_outputs: Model outputs that are this tensor.
        integer_input: ``(low, high)`` where the tensor is an integer model input brought to float, else None.
    """

    name: str
    writer: int | None
    op_name: str
    elements: int
    model_outputs: tuple[str, ...] = ()
    integer_input: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Operators that share one decision.

    Attributes:
        name: User's name of the node that gives the group its kind (the Conv of Conv+Add+Relu).
        op_type: ONNX operator of that node, or the name of the recognised pattern (``Gelu``,
            ``LayerNormalization``, ...).
        nodes: User's names of all member nodes, the naming one first.
        inputs: Where it reads tensors.
        outputs: Tensors it writes.
        macs: Multiply-accumulates per sample.
        elements: Vector work per sample: output elements of the members, biases excepted; of a recognised pattern those
            of its output.
    """

    name: str
    op_type: str
    op_class: OpClass
    nodes: tuple[str, ...]
    inputs: tuple[Slot, ...]
    outputs: tuple[int, ...]
    macs: int
    elements: int

    @property
    def is_gemm(self) -> bool:
        """Whether precisions are activation/weight pairs."""
        return self.op_class in (OpClass.GEMM, OpClass.RECURRENT)


@dataclass(frozen=True)
class Network:
    """Groups in topological order, the tensors between them, and the quantizable constants."""

    groups: tuple[Group, ...]
    tensors: tuple[Tensor, ...]
    constants: tuple[Constant, ...]
    outputs: tuple[str, ...]

    @cached_property
    def readers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Per tensor: ``(group, slot)`` pairs that read it, in group order."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.tensors]
        for g, group in enumerate(self.groups):
            for s, slot in enumerate(group.inputs):
                found[slot.tensor].append((g, s))
        return tuple(tuple(pairs) for pairs in found)

    @cached_property
    def constants_of(self) -> tuple[tuple[int, ...], ...]:
        """Per group: indices of its constants."""
        found: list[list[int]] = [[] for _ in self.groups]
        for c, constant in enumerate(self.constants):
            found[constant.group].append(c)
        return tuple(tuple(indices) for indices in found)

    @cached_property
    def feeds_only_outputs(self) -> tuple[bool, ...]:
        """Per group: whether every tensor it writes is a model output that no group reads."""
        return tuple(
            bool(group.outputs) and all(self.tensors[t].model_outputs and not self.readers[t] for t in group.outputs)
            for group in self.groups
        )

    @cached_property
    def total_macs(self) -> int:
        """Multiply-accumulates per sample of the whole network."""
        return sum(group.macs for group in self.groups)

    def to_json(self) -> dict[str, Any]:
        """Return a compact JSON value."""
        return {
            "groups": [
                [
                    g.name,
                    g.op_type,
                    g.op_class.value,
                    list(g.nodes),
                    [[s.tensor, s.kind.value, s.node, s.index] for s in g.inputs],
                    list(g.outputs),
                    g.macs,
                    g.elements,
                ]
                for g in self.groups
            ],
            "tensors": [
                [t.name, t.writer, t.op_name, t.elements, list(t.model_outputs), list(t.integer_input or ())]
                for t in self.tensors
            ],
            "constants": [
                [c.name, c.group, c.kind.value, c.node, c.index, list(c.shape), c.axis] for c in self.constants
            ],
            "outputs": list(self.outputs),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Network:
        """Read what ``to_json`` wrote."""
        return Network(
            groups=tuple(
                Group(
                    name=name,
                    op_type=op_type,
                    op_class=OpClass(op_class),
                    nodes=tuple(nodes),
                    inputs=tuple(Slot(t, SlotKind(kind), node, index) for t, kind, node, index in inputs),
                    outputs=tuple(outputs),
                    macs=macs,
                    elements=elements,
                )
                for name, op_type, op_class, nodes, inputs, outputs, macs, elements in value["groups"]
            ),
            tensors=tuple(
                Tensor(
                    name,
                    writer,
                    op_name,
                    elements,
                    tuple(model_outputs),
                    (low_high[0], low_high[1]) if low_high else None,
                )
                for name, writer, op_name, elements, model_outputs, low_high in value["tensors"]
            ),
            constants=tuple(
                Constant(name, group, ConstantKind(kind), node, index, tuple(shape), axis)
                for name, group, kind, node, index, shape, axis in value["constants"]
            ),
            outputs=tuple(value["outputs"]),
        )
