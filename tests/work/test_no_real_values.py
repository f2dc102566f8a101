"""Models in which nothing can be searched for are refused by name, by ``check`` and by ``search``."""

from __future__ import annotations

import pytest

from search.errors import UnsupportedModelError
from search.work.without_data import load_without_data
from tests.builders import model, node, save

MODELS = {
    "booleans": ([node("And", "x x", "y", "and")], ["x:bool[N,4]"], ["y:bool[N,4]"]),
    "whole numbers": ([node("Identity", "x", "y", "copy")], ["x:uint8[N,4]"], ["y:uint8[N,4]"]),
    "sizes": ([node("Shape", "x", "y", "shape")], ["x[2,4]"], ["y:int64[2]"]),
    "copies": ([node("Identity", "x", "y", "copy")], ["x[N,4]"], ["y[N,4]"]),
    "float16 copies": ([node("Identity", "x", "y", "copy")], ["x:float16[N,4]"], ["y:float16[N,4]"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_without_real_results_is_refused(tmp_path, name):
    with pytest.raises(UnsupportedModelError, match="Deploy it as it is"):
        load_without_data(save(model(*MODELS[name]), tmp_path), seed=0, n_samples=4)


def test_sizes_that_would_be_huge_are_not_tried(tmp_path):
    proto = model([node("Relu", "x", "y", "relu")], [f"x[{','.join('abcdefgh')}]"], ["y"])
    found = load_without_data(save(proto, tmp_path), seed=0, n_samples=4)
    assert max(found.assumed["x"]) <= 8


def test_an_empty_sequence_beside_the_network_is_no_constant_to_fold(tmp_path):
    nodes = [
        node("Relu", "x", "r", "relu"),
        node("SequenceEmpty", "", "empty", "empty"),
        node("SequenceInsert", "empty r", "some", "insert"),
        node("ConcatFromSequence", "some", "y", "concat", axis=1),
    ]
    found = load_without_data(save(model(nodes, ["x[1,4]"], ["y[1,4]"]), tmp_path), seed=0, n_samples=4)
    assert next(group.op_type for group in found.loaded.structure.network.groups) == "Relu"
