from __future__ import annotations

import numpy as np
import pytest

from search.graph.growth import created_elements
from tests.builders import model as build
from tests.builders import node, run

CASES = {
    "ConstantOfShape": (node("ConstantOfShape", "a", "y"), {"a": np.array([3, 4, 5])}),
    "Expand": (node("Expand", "x a", "y"), {"x": np.ones(1, np.float32), "a": np.array([6, 7])}),
    "Tile": (node("Tile", "x a", "y"), {"x": np.ones((2, 3), np.float32), "a": np.array([2, 5])}),
    "Range": (node("Range", "a b c", "y"), {"a": np.array(2), "b": np.array(20), "c": np.array(4)}),
    "RandomNormal": (node("RandomNormal", "", "y", shape=[3, 9]), {}),
    "RandomUniform": (node("RandomUniform", "", "y", shape=[3, 8]), {}),
    "OneHot": (
        node("OneHot", "i a v", "y"),
        {"i": np.array([1]), "a": np.array(9), "v": np.array([0.0, 1.0], np.float32)},
    ),
    "Pad": (node("Pad", "x a", "y"), {"x": np.ones((1, 1), np.float32), "a": np.array([1, 2, 3, 4])}),
    "Resize": (
        node("Resize", "x _ _ a", "y"),
        {"x": np.ones((1, 1, 1, 1), np.float32), "a": np.array([1, 1, 5, 6])},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_size_that_the_runtime_creates(name):
    made, constants = CASES[name]
    kind = "int64" if name == "Range" else "float32"
    proto = build([made], [], [f"y:{kind}"], constants)
    assert created_elements(made, constants.get) == run(proto, {})["y"].size


def test_counts_large_sizes_without_overflow():
    made = node("ConstantOfShape", "a", "y")
    assert created_elements(made, {"a": np.array([2**62, 2**62])}.get) == 2**124


@pytest.mark.parametrize("size", [np.inf, np.nan])
def test_takes_an_endless_scale_for_a_large_one(size):
    made = node("Resize", "x _ a", "y")
    assert created_elements(made, {"a": np.array([1, 1, size, 1], np.float32)}.get) >= 2**62


def test_sizes_computed_at_run_time_count_nothing():
    assert created_elements(node("Expand", "x a", "y"), {}.get) == 0
