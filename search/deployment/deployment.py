"""What is delivered, as one value: the graph, and every format, scale and treatment it was measured with.

A ``Deployment`` is built once per study and holds no open files, so each exported file is a pure function of it, and
``deploy.json`` is the whole of it. Tensors, groups, slots and constants are meant by their index in ``network``; node
names are those of the prepared graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.assignment import Assignment
from search.deployment.knight_plan import KnightPlan
from search.graph.network import Network, Slot
from search.precision import Format
from search.quant.grid import Grid
from search.targets.placement import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """A model input as the tool-chains want to hear of it.

    Attributes:
        name: ONNX name.
        shape: All axes, the batch axis as 1.
        layout: ``NCHW`` or ``NHWC``; the first for everything that is not an image.
    """

    name: str
    shape: tuple[int, ...]
    layout: str = "NCHW"


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightGrid:
    """Scales of one constant: one per channel, or one altogether.

    Attributes:
        scales: float32, shape ``[channels]``, or ``[1]`` where ``axis`` is None.
        zero_points: Integers, same shape.
        axis: Channel axis of the initializer, or None.
        bits: 8 or 16.
        signed: Whether the integer type is signed.
    """

    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int64]
    axis: int | None
    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if self.scales.ndim != 1 or self.scales.shape != self.zero_points.shape:
            raise ValueError(
                "Scales and zero points must be equally long vectors, "
                f"got {self.scales.shape} and {self.zero_points.shape}."
            )
        if self.axis is None and self.scales.size != 1:
            raise ValueError(f"Without a channel axis there is one scale, got {self.scales.size}.")

    @staticmethod
    def of(scales: npt.ArrayLike, zero_points: Array, axis: int | None) -> WeightGrid:
        """Take width and sign from the dtype of the zero points; both arrays may be of shape ``()``."""
        return WeightGrid(
            scales=np.atleast_1d(np.asarray(scales, dtype=np.float32)),
            zero_points=np.atleast_1d(zero_points).astype(np.int64),
            axis=axis,
            bits=zero_points.dtype.itemsize * 8,
            signed=zero_points.dtype.kind == "i",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Where the range of one tensor at one width comes from.

    Attributes:
        method: Observer that gave the range (``kl``, ``min_max``, ...), or ``fixed``.
        fixed: Whether the range was stated by the user or a chip rule instead of observed.
    """

    method: str
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFate:
    """What became of one node of the user's graph.

    Attributes:
        role: ``compute``, ``fused``, ``pass_through``, ``folded`` or ``float``.
        into: Node it was fused or folded into, or None.
        why: One sentence, empty where nothing needs saying.
    """

    role: str
    into: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputForm:
    """How a model output leaves the chip: ``real = (q - zero_point) * scale``, or plain float."""

    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPin:
    """A pin that reached a group: the text that asked for it, and whether later tools may change it."""

    match: str
    freeze: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Deployment:
    """Everything the exported files say.

    Attributes:
        graph: The prepared float model, serialized ONNX: its names are those used everywhere here.
        quantized: The Q/DQ model that was measured, serialized ONNX: ``model.qdq.onnx``.
        network: Groups, tensors and constants.
        target: Target name, e.g. ``j6m``.
        kind: Family of tool-chain: ``horizon``, ``ort``, ``knight``, or ``none`` of these.
        march: The chip's architecture name, None outside Horizon.
        toolchain: Tool-chain version as text, or None.
        requested: Precisions the strategy asked for, per group.
        effective: Precisions after the chip rules, per group.
        reasons: Per group, why effective differs from requested; empty text where it does not.
        placement: Formats of stored tensors, of reads, of constants.
        grids: ``(tensor, bits)`` to its grid; present for every integer format a tensor is stored or read in.
        weights: Constant index to its scales; present for every constant in an integer format.
        observations: ``(tensor, bits)`` to the origin of its range.
        pins: Group index to the pin that fixed it.
        fates: Node name to its fate, for every node of the user's graph.
        outputs: Model output to its form.
        inputs: Model inputs in order.
        node_types: Prepared node name to its ONNX operator, for every node.
        slot_values: ``(group, slot)`` to the ONNX value read there, where that is not the tensor's own name (the
            reader sits behind a Reshape or the like).
        achieved_ratio: Chosen metric divided by float metric (inverted for errors), or None.
        calibration_dir: Folder with the exported calibration data, relative to the output folder, or None.
        passes: Node that only moves a value (Reshape, Transpose, ...) to the tensor it moves.
        prescale: Tensor to ``k``: what it holds in fp16 is ``x * 2**-k``, and readers get it times ``2**k``.
        knight: What the Knight tools are told, for their chips.
    """

    graph: bytes = field(repr=False)
    quantized: bytes = field(repr=False)
    network: Network
    target: str
    kind: str
    march: str | None
    toolchain: str | None
    requested: Assignment
    effective: Assignment
    reasons: tuple[str, ...]
    placement: Placement
    grids: Mapping[tuple[int, int], Grid]
    weights: Mapping[int, WeightGrid]
    inputs: tuple[ModelInput, ...]
    observations: Mapping[tuple[int, int], Observation] = field(default_factory=dict)
    pins: Mapping[int, GroupPin] = field(default_factory=dict)
    fates: Mapping[str, NodeFate] = field(default_factory=dict)
    outputs: Mapping[str, OutputForm] = field(default_factory=dict)
    node_types: Mapping[str, str] = field(default_factory=dict)
    slot_values: Mapping[tuple[int, int], str] = field(default_factory=dict)
    achieved_ratio: float | None = None
    calibration_dir: str | None = None
    passes: Mapping[str, int] = field(default_factory=dict)
    prescale: Mapping[int, int] = field(default_factory=dict)
    knight: KnightPlan | None = None

    def grid(self, tensor: int, fmt: Format) -> Grid:
        """Return the grid of a tensor in an integer format.

        Raises:
            ValueError: If the deployment was put together without it.
        """
        found = self.grids.get((tensor, fmt.bits)) if fmt.is_integer else None
        if found is None:
            raise ValueError(f"Tensor {self.network.tensors[tensor].name!r} has no grid for {fmt.value}.")
        return found

    def value_read(self, group: int, slot: int) -> str:
        """Return the name of the ONNX value that a slot reads."""
        tensor = self.network.groups[group].inputs[slot].tensor
        return self.slot_values.get((group, slot), self.network.tensors[tensor].name)

    def slots(self, group: int) -> tuple[tuple[Slot, Format], ...]:
        """Return the slots of a group, each with the format it is read in."""
        return tuple(zip(self.network.groups[group].inputs, self.placement.read[group], strict=True))

    def fixed_grid(self, tensor: int) -> Grid | None:
        """Return the grid a tensor is stored on if its range was stated, else None."""
        observation = self.stored_observation(tensor)
        if observation is None or not observation.fixed:
            return None
        return self.grid(tensor, self.placement.stored[tensor])

    def stored_observation(self, tensor: int) -> Observation | None:
        """Return the origin of the range a tensor is stored with, None where it is stored in float or not recorded."""
        fmt = self.placement.stored[tensor]
        return self.observations.get((tensor, fmt.bits)) if fmt.is_integer else None


def slot_values(network: Network, inputs_of: Mapping[str, Sequence[str]]) -> dict[tuple[int, int], str]:
    """Return ``Deployment.slot_values`` from the input names of each node of the prepared graph.

    Args:
        network: Groups and their slots; a slot with a negative index (read inside a subgraph) has no input name.
        inputs_of: Node name to the names of its inputs.
    """
    found = {}
    for g, group in enumerate(network.groups):
        for s, slot in enumerate(group.inputs):
            if slot.index < 0 or slot.node not in inputs_of:
                continue
            value = inputs_of[slot.node][slot.index]
            if value != network.tensors[slot.tensor].name:
                found[g, s] = value
    return found
