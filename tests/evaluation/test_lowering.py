"""Oracles: float arithmetic on the inputs of every operator (``step_by_step``), and the Q/DQ model as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search.assignment import Assignment
from search.evaluation.lowering.lower import lower
from search.evaluation.qdq import QdqOptions, build_qdq
from search.graph.network import Network
from search.precision import Format, Precision
from search.runtime.session import Level, Session
from search.simulator.reference.run import Reference
from search.targets.placement import Placement, place
from search.targets.rulebook import Rulebook
from search.targets.target import Target, load_target
from search.work.loaded import Loaded
from tests.builders import random_feeds
from tests.evaluation.loading import load_proto, min_max_grids, random_placement, uniform_placement
from tests.evaluation.operators import OPERATORS
from tests.evaluation.random_graphs import random_graph
from tests.evaluation.step_by_step import Gap, StepByStep

TARGETS = {
    "j6m": load_target("j6m", toolchain="3.5.0"),
    "j6p": load_target("j6p", toolchain=None),
    "ort-cpu": load_target("ort-cpu", toolchain=None),
    "tx5105c": load_target("tx5105c", toolchain=None),
}
TABLES = ("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Gelu", "Erf", "Exp", "Silu")
TABLES += ("Log", "Reciprocal", "Pow", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Sin", "Cos", "Mish")
NORMS = ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "SimplifiedLayerNormalization")
NORMS += ("LpNormalization",)
LIMITS = {**dict.fromkeys(TABLES, 40.0), "Sqrt": 400.0, **dict.fromkeys(NORMS, 24.0), "Softmax": 5.0}
"""Steps of a 16-bit result where more than one may be lost: interpolated tables, and int16 inside."""
FLOAT_INSIDE = ("GridSample", "LSTM", "GRU", "LogSoftmax", "LpNormalization1")
"""Operators without an integer form."""


def steps_allowed(gap: Gap) -> float:
    if gap.stored is Format.FP16:
        return 2.0**-9  # a flipped rounding of the accumulator
    if gap.stored is Format.FP32:
        return 1e-4
    if gap.stored is Format.INT16 and gap.kind in LIMITS:
        return LIMITS[gap.kind]
    return 2.0 if gap.stored is Format.INT16 else 1.0


def assert_close(gaps: list[Gap]) -> None:
    far = [gap for gap in gaps if not gap.steps <= steps_allowed(gap)]
    assert not far, far


def assert_near_qdq(loaded: Loaded, placement: Placement, grids: Any, outputs: Any, feeds: Any, prescale: Any) -> None:
    made = build_qdq(loaded.template, placement, grids, QdqOptions(prescale=prescale)).model
    for name, value in Session(made, level=Level.PINNED).run(feeds).items():
        assert (outputs[name].shape, outputs[name].dtype) == (value.shape, value.dtype)
        assert np.linalg.norm(outputs[name] - value) <= 0.1 * np.linalg.norm(value) + 1e-6, name


def prepared(name: str, tmp_path: Any) -> tuple[Loaded, dict[str, Any]]:
    rng = np.random.default_rng(0)
    proto = OPERATORS[name](rng)
    feeds = {"ids": rng.integers(0, 9, (4, 3))} if name == "Gather" else random_feeds(proto, rng, batch=4)
    return load_proto(proto, feeds, tmp_path), feeds


def placements(network: Network, target: Target) -> dict[tuple[Precision, ...], Placement]:
    """Every precision everywhere it is allowed."""
    found = {}
    for precision in Precision:
        allowed = Rulebook(network, target).allowed
        chosen = tuple(precision if precision in one.choices else one.choices[-1] for one in allowed)
        found[chosen] = place(network, target, Assignment(chosen))
    return found


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_at_every_precision_of_every_target_is_within_a_step_of_float(name, tmp_path):
    loaded, feeds = prepared(name, tmp_path)
    network = loaded.structure.network
    for target in TARGETS.values():
        grids = min_max_grids(loaded, feeds, target)
        for chosen, placement in placements(network, target).items():
            program = lower(loaded.template, placement, grids, target.arithmetic)
            assert_close(StepByStep(loaded.template, placement, grids, program).compare(feeds))
            integer = [g.name for g, p in zip(network.groups, chosen, strict=True) if not p.is_float]
            jumps = name == "Floor" and Precision.INT16 in chosen
            expected = [g for g in integer if (name in FLOAT_INSIDE or jumps) and g == "op"]
            assert list(program.float_interior) == expected


@pytest.mark.parametrize("seed", range(40))
def test_legal_placements_of_random_graphs_are_within_a_step_of_float_and_near_the_qdq_model(seed, tmp_path):
    proto, feeds = random_graph(seed)
    loaded = load_proto(proto, feeds, tmp_path)
    target = list(TARGETS.values())[seed % 4]
    rng = np.random.default_rng(seed)
    allowed = Rulebook(loaded.structure.network, target).allowed
    effective = Assignment(tuple(one.choices[rng.integers(len(one.choices))] for one in allowed))
    placement = place(loaded.structure.network, target, effective)
    grids = min_max_grids(loaded, feeds, target)
    program = lower(loaded.template, placement, grids, target.arithmetic)
    assert_close(StepByStep(loaded.template, placement, grids, program).compare(feeds))
    found = Reference(program).run(feeds)
    assert_near_qdq(loaded, placement, grids, found.values, feeds, {})
    assert [info.name for info in program.outputs] == list(loaded.template.outputs)
    assert not found.overflows


@pytest.mark.parametrize("seed", range(300, 320))
def test_any_placement_of_a_random_graph_has_a_program(seed, tmp_path):
    proto, feeds = random_graph(seed)
    loaded = load_proto(proto, feeds, tmp_path)
    target = TARGETS["j6m"]
    grids = min_max_grids(loaded, feeds, target)
    rng = np.random.default_rng(seed)
    network = loaded.structure.network
    placement = random_placement(network, rng)
    prescale = {t: int(rng.integers(1, 4)) for t in range(len(network.tensors)) if rng.random() < 0.2}
    program = lower(loaded.template, placement, grids, target.arithmetic, prescale=prescale)
    assert_close(StepByStep(loaded.template, placement, grids, program, prescale).compare(feeds))
    assert_near_qdq(loaded, placement, grids, Reference(program).run(feeds).values, feeds, prescale)


@pytest.mark.parametrize("seed", range(200, 206))
@pytest.mark.parametrize("fmt", [Format.FP32, Format.FP16])
def test_float_placements_are_the_qdq_model_bit_for_bit(seed, fmt, tmp_path):
    proto, feeds = random_graph(seed)
    loaded = load_proto(proto, feeds, tmp_path)
    grids = min_max_grids(loaded, feeds, TARGETS["j6p"])
    network = loaded.structure.network
    prescale = {} if fmt is Format.FP32 else dict.fromkeys(range(0, len(network.tensors), 3), 2)
    placement = uniform_placement(network, fmt)
    program = lower(loaded.template, placement, grids, TARGETS["j6p"].arithmetic, prescale=prescale)
    model = build_qdq(loaded.template, placement, grids, QdqOptions(prescale=prescale)).model
    if fmt is Format.FP32:
        model = loaded.template.model
    got = Reference(program).run(feeds).values
    for name, value in Session(model, level=Level.PLAIN).run(feeds).items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    assert not program.float_interior
    assert not program.grids


def test_more_values_are_delivered_as_float_after_the_outputs(tmp_path):
    loaded, feeds = prepared("Sigmoid", tmp_path)
    target = TARGETS["j6m"]
    grids = min_max_grids(loaded, feeds, target)
    placement = uniform_placement(loaded.structure.network, Format.INT8)
    extra = [*loaded.template.tensor_of, "y"]
    program = lower(loaded.template, placement, grids, target.arithmetic, extra_outputs=extra)
    assert [info.name for info in program.outputs] == ["y", "a"]  # the model input x is there already
    found = Reference(program).run(feeds, keep="all")
    grid = grids.activation(loaded.template.roots["a"], Format.INT8)
    steps = found.kept["a_quantized"].astype(np.float32)
    np.testing.assert_array_equal(found.values["a"], steps * np.float32(grid.scale))


def test_a_value_inside_a_group_cannot_be_delivered(tmp_path):
    loaded, feeds = prepared("MatMul", tmp_path)
    target = TARGETS["j6m"]
    grids = min_max_grids(loaded, feeds, target)
    placement = uniform_placement(loaded.structure.network, Format.INT8)
    with pytest.raises(ValueError, match="no value 'm'"):
        lower(loaded.template, placement, grids, target.arithmetic, extra_outputs=["m"])
