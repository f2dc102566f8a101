"""Whole programs: lowered networks give the same integers both ways; models of the fast way are what they claim."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from fast_equal import assert_equal_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from search.assignment import Assignment
from search.evaluation.lowering.lower import lower
from search.precision import Format
from search.runtime.session import Level
from search.simulator.fast.build import build
from search.simulator.fast.session import IntegerSession
from search.simulator.program import Program, RoundHalf
from search.simulator.reference.run import Reference
from search.targets.placement import place
from search.targets.rulebook import Rulebook
from search.targets.target import load_target
from tests.builders import conv, model, node, random_feeds
from tests.evaluation.loading import load_proto, min_max_grids, random_placement, uniform_placement
from tests.evaluation.operators import OPERATORS
from tests.evaluation.random_graphs import random_graph

TARGETS = {
    "j6m": load_target("j6m", toolchain="3.5.0"),
    "j6p": load_target("j6p", toolchain=None),
    "ort-cpu": load_target("ort-cpu", toolchain=None),
    "tx5105c": load_target("tx5105c", toolchain=None),
}


def lowered(
    proto: onnx.ModelProto, feeds: dict[str, Any], target: str, rng: Any, folder: Any, *, floats: bool = True
) -> Program:
    """The program of a random legal placement, of integers alone unless floats may be in it."""
    loaded = load_proto(proto, feeds, folder)
    network, chip = loaded.structure.network, TARGETS[target]
    allowed = [one.choices for one in Rulebook(network, chip).allowed]
    integer = [tuple(p for p in choices if not p.is_float) for choices in allowed]
    usable = allowed if floats else [some or choices for some, choices in zip(integer, allowed, strict=True)]
    chosen = Assignment(tuple(choices[rng.integers(len(choices))] for choices in usable))
    return lower(loaded.template, place(network, chip, chosen), min_max_grids(loaded, feeds, chip), chip.arithmetic)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(10))
def test_random_graphs_give_the_same_integers(seed: int, target: str, tmp_path: Any) -> None:
    proto, feeds = random_graph(1000 + seed)
    made = lowered(proto, feeds, target, np.random.default_rng(seed), tmp_path)
    # Float operators sum in another order when they are optimized: equal floats in, equal integers out.
    assert_equal_bits(made, feeds, level=Level.PLAIN)
    fast, exact = IntegerSession(made).run(feeds), Reference(made).run(feeds).values
    for name, value in exact.items():
        assert np.linalg.norm(fast[name] - value) <= 1e-2 * np.linalg.norm(value) + 1e-6
    if target in ("j6m", "tx5105c"):
        only = lowered(proto, feeds, target, np.random.default_rng(seed), tmp_path, floats=False)
        has_floats = any(isinstance(step, RoundHalf) for step in only.steps)
        assert_equal_bits(only, feeds, level=Level.PLAIN if has_floats else Level.INTEGER)


@pytest.mark.parametrize("seed", range(500, 512))
def test_random_graphs_in_any_mixture_of_formats_give_the_same_integers(seed: int, tmp_path: Any) -> None:
    proto, feeds = random_graph(seed)
    loaded = load_proto(proto, feeds, tmp_path)
    network, chip = loaded.structure.network, TARGETS["j6m"]
    placement = random_placement(network, np.random.default_rng(seed))
    made = lower(loaded.template, placement, min_max_grids(loaded, feeds, chip), chip.arithmetic)
    assert_equal_bits(made, feeds, level=Level.PLAIN)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_gives_the_same_integers_at_8_and_16_bit(name: str, tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    proto = OPERATORS[name](rng)
    feeds = {"ids": rng.integers(0, 9, (4, 3))} if name == "Gather" else random_feeds(proto, rng, batch=4)
    loaded = load_proto(proto, feeds, tmp_path)
    for target in ("j6m", "ort-cpu"):
        chip = TARGETS[target]
        grids = min_max_grids(loaded, feeds, chip)
        for fmt in (Format.INT8, Format.INT16):
            placement = uniform_placement(loaded.structure.network, fmt)
            assert_equal_bits(lower(loaded.template, placement, grids, chip.arithmetic), feeds, level=Level.PLAIN)


def residual(channels: int, rng: Any) -> onnx.ModelProto:
    """Convolutions with Relu and a sum, with a depthwise and a pointwise one, large enough for every fast kernel."""
    nodes = [
        conv("stem", "x", "a", weight="w0", bias="b0", pads=[1, 1, 1, 1]),
        node("Relu", "a", "ar", "relu"),
        conv("inner", "ar", "b", weight="w1", bias="b1", pads=[1, 1, 1, 1]),
        node("Add", "b ar", "s", "sum"),
        node("Relu", "s", "sr", "relu2"),
        conv("depthwise", "sr", "d", weight="w2", bias="b1", pads=[1, 1, 1, 1], group=channels),
        node("Clip", "d low high", "dr", "relu6"),
        conv("pointwise", "dr", "p", weight="w3", bias="b1"),
        node("Add", "p sr", "t", "sum2"),
        node("GlobalAveragePool", "t", "y", "mean"),
    ]
    constants = {
        "w0": rng.normal(size=(channels, 3, 3, 3)),
        "w1": rng.normal(size=(channels, channels, 3, 3)),
        "w2": rng.normal(size=(channels, 1, 3, 3)),
        "w3": rng.normal(size=(channels, channels, 1, 1)),
        "b0": rng.normal(size=channels),
        "b1": rng.normal(size=channels),
        "low": np.asarray(0.0),
        "high": np.asarray(6.0),
    }
    constants = {name: np.asarray(array, np.float32) for name, array in constants.items()}
    return model(nodes, ["x[N,3,12,12]"], ["y[N,?,1,1]"], constants, opset=21)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), channels=st.sampled_from([12, 16, 40]))
def test_convolutional_nets_give_the_same_integers(seed: int, channels: int, tmp_path_factory: Any) -> None:
    rng = np.random.default_rng(seed)
    feeds = {"x": rng.normal(size=(2, 3, 12, 12)).astype(np.float32)}
    folder = tmp_path_factory.mktemp("net")
    only = lowered(residual(channels, rng), feeds, "j6m", rng, folder, floats=False)
    assert_equal_bits(only, feeds, level=Level.INTEGER)
    mixed = lowered(residual(channels, rng), feeds, "j6p", rng, folder)
    assert_equal_bits(mixed, feeds, level=Level.PLAIN)


def test_results_do_not_depend_on_the_batch_or_on_threads(tmp_path: Any) -> None:
    rng = np.random.default_rng(5)
    feeds = {"x": rng.normal(size=(6, 3, 12, 12)).astype(np.float32)}
    made = lowered(residual(16, rng), feeds, "j6m", rng, tmp_path, floats=False)
    whole = IntegerSession(made, threads=2).run(feeds)["y"]
    session = IntegerSession(made)
    parts = [session.run({"x": feeds["x"][i : i + 1]})["y"] for i in range(6)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_model_is_the_same_every_time_it_is_built(tmp_path: Any) -> None:
    rng = np.random.default_rng(5)
    feeds = {"x": rng.normal(size=(2, 3, 12, 12)).astype(np.float32)}
    made = lowered(residual(16, rng), feeds, "j6m", rng, tmp_path, floats=False)
    first, second = (build(made).proto.SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
