"""``knight/mix_config.json``: bit width and calibration method of every quantized operator, for families that mix.

Rules of the tool: every quantized operator has an entry with ``bitwidth`` and ``mode``, none that is fused or not
quantized; recurrent operators and LayerNormalization have the bit width of their quantized neighbours; Abs is not
mixed; all model inputs are read in one bit width; below a Concat a recurrent or LayerNormalization parent is no wider
than any other neighbour of the Concat.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from search.deployment.deployment import Deployment
from search.graph.network import Group, Network, OpClass
from search.precision import Precision

MODES = ("min_max", "kl", "kl_v2", "percentile", "mse")
BIT_WIDTHS = (8, 16)
LIKE_NEIGHBOURS = frozenset({"RNN", "LSTM", "GRU", "SRU", "LSTMP", "LayerNormalization"})
NOT_MIXED = frozenset({"Abs"})

MixConfig = dict[str, dict[str, Any]]


def mix_config(deployment: Deployment) -> MixConfig:
    """Return node name to ``{"bitwidth", "mode"}`` for every quantized group; check it with ``mix_problems``."""
    found: MixConfig = {}
    for g, group in enumerate(deployment.network.groups):
        precision = deployment.effective[g]
        if group.op_class is not OpClass.FLOAT and not precision.is_float:
            found[group.name] = {"bitwidth": precision.activation.bits, "mode": _mode(deployment, group)}
    return found


def mix_problems(deployment: Deployment) -> list[str]:
    """Return what the tool would refuse; an empty list means that the file can be written."""
    network, config = deployment.network, mix_config(deployment)
    return [
        *_entry_problems(deployment, config),
        *_neighbour_problems(network, config),
        *_concat_problems(network, config),
        *_input_problems(network, config),
    ]


def _mode(deployment: Deployment, group: Group) -> str:
    """Method that gave the scale of what the group writes; of what it reads where it writes a float."""
    tensors = (*group.outputs, *(slot.tensor for slot in group.inputs))
    methods = [seen.method for t in tensors if (seen := deployment.stored_observation(t)) is not None]
    return next((method for method in methods if method in MODES), "min_max")


def _entry_problems(deployment: Deployment, config: MixConfig) -> Iterator[str]:
    for g, group in enumerate(deployment.network.groups):
        precision = deployment.effective[g]
        if group.name not in config:
            if group.op_class is not OpClass.FLOAT:
                yield f"{group.name} runs at {precision.value}, which is no bit width of the tool"
        elif precision.activation is not precision.weight and _is_pair(group, precision):
            yield f"{group.name} runs at {precision.value}; the tool has one bit width for inputs and weights"
        elif group.op_type in NOT_MIXED and config[group.name]["bitwidth"] != min(BIT_WIDTHS):
            yield f"{group.name} is {group.op_type}, which is not mixed"


def _is_pair(group: Group, precision: Precision) -> bool:
    return group.is_gemm and not precision.is_float


def _neighbour_problems(network: Network, config: MixConfig) -> Iterator[str]:
    for g, group in enumerate(network.groups):
        if group.op_type not in LIKE_NEIGHBOURS or group.name not in config:
            continue
        own = config[group.name]["bitwidth"]
        for other in sorted(_neighbours(network, g)):
            entry = config.get(network.groups[other].name)
            if entry is not None and entry["bitwidth"] != own:
                yield f"{group.name} has {own} bit, its neighbour {network.groups[other].name} {entry['bitwidth']}"


def _concat_problems(network: Network, config: MixConfig) -> Iterator[str]:
    for g, group in enumerate(network.groups):
        if group.op_type != "Concat":
            continue
        around = {
            name: config[name]["bitwidth"]
            for other in _neighbours(network, g)
            if (name := network.groups[other].name) in config
        }
        for other in sorted(_parents(network, g)):
            parent = network.groups[other]
            if parent.op_type in LIKE_NEIGHBOURS and parent.name in around:
                narrower = sorted(name for name, bits in around.items() if bits < around[parent.name])
                if narrower:
                    yield f"{parent.name} in front of {group.name} has more bits than {', '.join(narrower)}"


def _input_problems(network: Network, config: MixConfig) -> Iterator[str]:
    readers = {
        network.groups[g].name for t, tensor in enumerate(network.tensors) if tensor.writer is None
        for g, _ in network.readers[t]
    }  # fmt: skip
    widths = {config[name]["bitwidth"] for name in readers if name in config}
    if len(widths) > 1:
        yield "model inputs are read in 8 and in 16 bit"


def _parents(network: Network, group: int) -> set[int]:
    writers = (network.tensors[slot.tensor].writer for slot in network.groups[group].inputs)
    return {writer for writer in writers if writer is not None}


def _neighbours(network: Network, group: int) -> set[int]:
    readers = {g for t in network.groups[group].outputs for g, _ in network.readers[t]}
    return (readers | _parents(network, group)) - {group}
