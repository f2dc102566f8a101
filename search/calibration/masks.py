"""Scores that a mask takes out of a Softmax: they must not set the range of the scores that count.

A model masks attention by adding -1e4, the lowest float32 or -inf. A range that covers such a number leaves the
other scores no integers; a range that ignores it clips the number to the lowest score, and nothing is masked. So::

    masked    x < max(row) - 64                      exp(-64) is nothing in any format
    counted   as max(row) - 11                       exp(-11) < 2**-15
    mask      an operand of the Add before, at or below -64, is counted as the smallest max(row) - 11 - other operand

See docs/numerics.md#masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import onnx

from search.arrays import Array
from search.graph.network import Network, SlotKind

DEEP = 64.0
SHALLOW = 11.0
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Operand:
    """One summand of the scores.

    Attributes:
        value: Its name in the prepared graph.
        other: That of the other summand.
        tensor: The tensor it is; None for a constant.
        constant: The constant it is; None for a tensor.
    """

    value: str
    other: str
    tensor: int | None = None
    constant: int | None = None


@dataclass(frozen=True)
class MaskedSoftmax:
    """A Softmax along ``axis`` of the tensor ``scores``, which nothing else reads, and the operands of its Add."""

    scores: int
    axis: int
    operands: tuple[Operand, ...]


def above(values: npt.NDArray[np.float32], floor: float) -> npt.NDArray[np.float32]:
    """Return a constant summand with its masked values as what they count as."""
    return np.where(values <= -DEEP, np.float32(floor), values)


def masked_softmaxes(model: onnx.ModelProto, network: Network) -> tuple[MaskedSoftmax, ...]:
    """Every native Softmax that reads a tensor as its writer gives it, in group order.

    Args:
        model: The prepared float model.
        network: Its groups and tensors.
    """
    nodes = {node.name: node for node in model.graph.node}
    writers = {name: node for node in model.graph.node for name in node.output}
    places = _Places(
        {(slot.node, slot.index): slot.tensor for group in network.groups for slot in group.inputs},
        {(constant.node, constant.index): i for i, constant in enumerate(network.constants)},
    )
    found = []
    for group in network.groups:
        node = nodes.get(group.inputs[0].node) if group.inputs else None
        if group.op_type != "Softmax" or node is None or node.op_type != "Softmax":
            continue
        scores = group.inputs[0].tensor
        if network.tensors[scores].name != node.input[0] or not _only_read_by(network, scores, "Softmax"):
            continue
        add = writers.get(node.input[0])
        operands = places.operands(add) if add is not None and add.op_type == "Add" else ()
        found.append(MaskedSoftmax(scores, _axis(node), operands))
    sums = {network.tensors[one.scores].name for one in found}
    return tuple(
        replace(one, operands=tuple(o for o in one.operands if _only_added(network, o.tensor, nodes, sums)))
        for one in found
    )


@dataclass(frozen=True)
class _Places:
    """What is read at ``(node, input)``: a tensor or a constant."""

    tensors: Mapping[tuple[str, int], int]
    constants: Mapping[tuple[str, int], int]

    def operands(self, add: onnx.NodeProto) -> tuple[Operand, ...]:
        """Return both summands, as far as they are stored."""
        found = [
            Operand(
                add.input[i],
                add.input[1 - i],
                tensor=self.tensors.get((add.name, i)),
                constant=self.constants.get((add.name, i)),
            )
            for i in (0, 1)
        ]
        return tuple(one for one in found if one.tensor is not None or one.constant is not None)


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), -1)


def _only_read_by(network: Network, tensor: int, op_type: str) -> bool:
    readers = network.readers[tensor]
    return not network.tensors[tensor].model_outputs and all(network.groups[g].op_type == op_type for g, _ in readers)


def _only_added(network: Network, tensor: int | None, nodes: Mapping[str, onnx.NodeProto], scores: set[str]) -> bool:
    """Whether all that read a tensor add it to scores of a Softmax; a constant has one reader."""
    if tensor is None:
        return True
    slots = [network.groups[g].inputs[s] for g, s in network.readers[tensor]]
    return not network.tensors[tensor].model_outputs and all(
        slot.kind in (SlotKind.ACTIVATION, SlotKind.SUM_IN)
        and slot.node in nodes
        and nodes[slot.node].op_type == "Add"
        and nodes[slot.node].output[0] in scores
        for slot in slots
    )


@dataclass
class Masks:
    """What the masks of one stretch of samples were.

    Attributes:
        softmaxes: Where they may be.
        lowest: Tensor to the smallest finite value it really had; only tensors with masked values.
        floors: Tensor of an operand to what its masked values count as.
        constants: The same of constants.
        n_masked: Tensor of an operand to how many of its values were masked.
    """

    softmaxes: Sequence[MaskedSoftmax]
    lowest: dict[int, float] = field(default_factory=dict)
    floors: dict[int, float] = field(default_factory=dict)
    constants: dict[int, float] = field(default_factory=dict)
    n_masked: dict[int, int] = field(default_factory=dict)

    @property
    def values(self) -> tuple[str, ...]:
        """Values of the prepared graph that must be there beside the tensors."""
        return tuple(
            dict.fromkeys(
                name for one in self.softmaxes for operand in one.operands for name in (operand.value, operand.other)
            )
        )

    def scores(self, tensor: int, values: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
        """Return scores float32 ``[...]`` with those that are masked lifted to what they count as."""
        highest = values.max(axis=axis, keepdims=True)
        highest = np.where(np.isfinite(highest), highest, np.float32(0))
        masked = values < highest - np.float32(DEEP)
        if not masked.any():
            return values
        self._note(tensor, values[masked])
        return np.where(masked, highest - np.float32(SHALLOW), values)

    def look(self, softmax: MaskedSoftmax, found: Mapping[str, Array], scores: npt.NDArray[np.float32]) -> None:
        """Learn from one run how low the masked values of the operands must stay.

        Args:
            softmax: Which one.
            found: Values of the run.
            scores: Its scores as they are, float32 ``[...]``.
        """
        highest = scores.max(axis=softmax.axis, keepdims=True)
        for operand in softmax.operands:
            own = np.broadcast_to(found[operand.value], scores.shape)
            masked = (own <= -DEEP) & np.isfinite(highest)
            if masked.any():
                needed = np.broadcast_to(highest - SHALLOW - found[operand.other], scores.shape)[masked]
                low = float(needed[np.isfinite(needed)].min(initial=0.0))
                if operand.tensor is not None:
                    self.floors[operand.tensor] = min(low, self.floors.get(operand.tensor, low))
                if operand.constant is not None:
                    self.constants[operand.constant] = min(low, self.constants.get(operand.constant, low))

    def operand(self, tensor: int, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the values of an operand that are no mask, flat; the others are counted."""
        masked = values <= -DEEP
        if tensor not in self.floors or not masked.any():
            return values
        self._note(tensor, values[masked])
        self.n_masked[tensor] = self.n_masked.get(tensor, 0) + int(masked.sum())
        return values[~masked]

    def rest(self, tensor: int) -> list[npt.NDArray[np.float32]]:
        """Return the masked values of an operand as what they count as, in pieces."""
        n, floor = self.n_masked.get(tensor, 0), np.float32(self.floors.get(tensor, 0.0))
        return [np.full(min(_CHUNK, n - start), floor, np.float32) for start in range(0, n, _CHUNK)]

    def _note(self, tensor: int, masked: npt.NDArray[np.float32]) -> None:
        finite = masked[np.isfinite(masked)]
        if finite.size:
            self.lowest[tensor] = min(float(finite.min()), self.lowest.get(tensor, np.inf))
