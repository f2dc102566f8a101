"""The deployment of a study: everything its exporters say, from the configuration and the calibration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from search.deployment.deployment import (
    Deployment,
    GroupPin,
    ModelInput,
    NodeFate,
    Observation,
    OutputForm,
    WeightGrid,
)
from search.evaluation.biases import GridSource
from search.export.calibration_folder import FOLDER
from search.graph.network import Network
from search.precision import Format
from search.targets.pins import resolve_pins
from search.targets.placement import Placement
from search.work.delivery import Delivery
from search.work.item_runner import ItemRunner
from search.work.knight import knight_plan
from search.work.problem import Problem


def make_deployment(runner: ItemRunner, delivery: Delivery, *, has_samples: bool) -> Deployment:
    """Everything the exporters say, from the configuration and the calibration.

    Args:
        runner: Of the study.
        delivery: What is exported.
        has_samples: Whether calibration samples are delivered beside the files.
    """
    configuration, reasons = delivery.configuration, delivery.reasons
    loaded, target = runner.loaded, runner.problem.target
    network = loaded.structure.network
    placement = runner.placement(configuration)
    grids = runner.measured_grids(configuration, placement)
    origins = runner.grids(configuration)
    used = sorted(set(_used(network, placement)), key=lambda pair: (pair[0], pair[1].rank))
    template = loaded.template
    return Deployment(
        graph=template.model.SerializeToString(),
        quantized=runner.exported_bytes(configuration),
        network=network,
        target=target.name,
        kind=_kind(runner.problem),
        march=target.march,
        toolchain=None if target.toolchain is None else str(target.toolchain),
        requested=delivery.requested,
        effective=configuration.effective,
        reasons=tuple(reasons.get(g, "") for g in range(len(network.groups))),
        placement=placement,
        grids={(t, fmt.bits): grids.activation(t, fmt) for t, fmt in used},
        weights=_weights(network, placement, grids),
        inputs=tuple(
            ModelInput(
                name=value.name,
                shape=_shape(runner, value.name),
                layout=_layout(runner),
            )
            for value in loaded.user.inputs
        ),
        observations={
            (t, fmt.bits): Observation(method=origins.method_of(t, fmt), fixed=origins.is_fixed(t, fmt))
            for t, fmt in used
        },
        pins=_pins(runner, delivery),
        fates=_fates(runner),
        outputs={name: _form(network, placement, grids, name) for name in network.outputs},
        node_types={node.name: node.op_type for node in template.model.graph.node},
        slot_values=_slot_values(runner),
        achieved_ratio=delivery.ratio,
        passes=_passes(runner),
        prescale=configuration.treatment.prescale,
        calibration_dir=FOLDER if has_samples else None,
        knight=knight_plan(runner, configuration, delivery.knight),
    )


def _kind(problem: Problem) -> str:
    """Family of tool-chain that takes the result."""
    if problem.target.march:
        return "horizon"
    if problem.is_deployed_here:
        return "ort"
    return "none" if problem.target.knight is None else "knight"


def _used(network: Network, placement: Placement) -> Iterator[tuple[int, Format]]:
    """``(tensor, format)`` for every integer format a tensor is stored or read in."""
    for t, fmt in enumerate(placement.stored):
        if fmt.is_integer:
            yield t, fmt
    for g, group in enumerate(network.groups):
        for s, slot in enumerate(group.inputs):
            if placement.read[g][s].is_integer:
                yield slot.tensor, placement.read[g][s]


def _weights(network: Network, placement: Placement, grids: GridSource) -> dict[int, WeightGrid]:
    found = {}
    for c, fmt in enumerate(placement.constants):
        if fmt.is_integer:
            grid = grids.weight(c, fmt)
            found[c] = WeightGrid(
                scales=np.atleast_1d(grid.scales).astype(np.float32),
                zero_points=np.atleast_1d(grid.zero_points).astype(np.int64),
                axis=grid.axis,
                bits=fmt.bits,
                signed=bool(np.issubdtype(grid.values.dtype, np.signedinteger)),
            )
    return found


def _shape(runner: ItemRunner, name: str) -> tuple[int, ...]:
    """Sizes of an input in the smallest run, open ones as in the data; where samples differ, those of the first."""
    samples = next(iter(runner.sets.values()))
    layout, stored = samples.layouts[name], samples.layout[name].shape
    if None in stored:
        stored = samples.rows([0])[name].shape[1:]
    return layout.model_shape(tuple(size for size in stored if size is not None))


def _layout(runner: ItemRunner) -> str:
    preprocess = runner.problem.spec.data.preprocess
    return "NCHW" if preprocess is None else preprocess.layout


def _pins(runner: ItemRunner, delivery: Delivery) -> dict[int, GroupPin]:
    network, target = runner.loaded.structure.network, runner.problem.target
    table = resolve_pins(network, target, delivery.pins)
    return {
        g: GroupPin(
            match="; ".join(pin.match or pin.op_type or pin.scope or "" for pin in pins), freeze=table.is_frozen(g)
        )
        for g, pins in table.pins.items()
    }


def _fates(runner: ItemRunner) -> dict[str, NodeFate]:
    loaded = runner.loaded
    found = {name: NodeFate(role=fate.role, into=fate.into, why=fate.why) for name, fate in loaded.fates.items()}
    for name, role in loaded.structure.roles.items():
        found[name] = NodeFate(role=role.role, into=role.into, why=role.why)
    return found


def _form(network: Network, placement: Placement, grids: GridSource, output: str) -> OutputForm:
    """How an output leaves the chip: as the integers it is stored in, or float."""
    tensor = next((t for t, one in enumerate(network.tensors) if output in one.model_outputs), None)
    fmt = Format.FP32 if tensor is None else placement.stored[tensor]
    if tensor is None or not fmt.is_integer:
        return OutputForm(dtype="float16" if fmt is Format.FP16 else "float32")
    grid = grids.activation(tensor, fmt)
    return OutputForm(dtype=grid.dtype.name, scale=grid.scale, zero_point=grid.zero_point)


def _slot_values(runner: ItemRunner) -> dict[tuple[int, int], str]:
    """The value each slot reads, where it is not the tensor's own name."""
    template = runner.loaded.template
    nodes = {node.name: node for node in template.model.graph.node}
    found = {}
    for g, group in enumerate(template.network.groups):
        for s, slot in enumerate(group.inputs):
            if slot.index < 0:
                continue
            name = nodes[slot.node].input[slot.index]
            if name != template.network.tensors[slot.tensor].name:
                found[(g, s)] = name
    return found


def _passes(runner: ItemRunner) -> dict[str, int]:
    """Nodes outside every group, and the tensor each of them passes on."""
    template = runner.loaded.template
    return {
        node.name: template.tensor_of[node.output[0]]
        for node in template.model.graph.node
        if node.name not in template.group_of and node.output and node.output[0] in template.tensor_of
    }
