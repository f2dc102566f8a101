from __future__ import annotations

import numpy as np
import pytest

from tests.builders import conv, model, node
from tests.evaluation.loading import load_proto

X = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)


def template(tmp_path, value="a", weight="w"):
    constants = {weight: np.random.default_rng(1).normal(size=(3, 3, 1, 1))}
    nodes = [conv("c", "x", value, weight=weight), node("Sigmoid", value, "y", "s")]
    return load_proto(model(nodes, ["x[N,3,4,4]"], ["y[N,3,4,4]"], constants), {"x": X}, tmp_path).template


@pytest.mark.parametrize("taken", ["x_scale", "x_zero_point", "x_fp16", "x_DequantizeLinear_Output", "x_quantized"])
def test_a_stem_leads_to_no_name_of_the_model(taken, tmp_path):
    found = template(tmp_path, value=taken)
    assert found.stem("x") == "x#"
    assert found.stem("y") == "y"


def test_a_stem_may_be_the_name_itself(tmp_path):
    found = template(tmp_path, weight="x_weight")
    assert found.stem("x") == "x"


def test_constants_are_read_once_and_cannot_be_changed(tmp_path):
    found = template(tmp_path)
    values = found.array("w")
    assert values is found.array("w")
    assert found.half("w") is found.half("w")
    with pytest.raises(ValueError, match="read-only"):
        values[...] = 0


def test_an_initializer_is_made_again_only_for_another_array(tmp_path):
    found = template(tmp_path)
    one, other = np.ones(3, np.float32), np.ones(3, np.float32)
    assert found.proto("n", one) is found.proto("n", one)
    assert found.proto("n", other) is not found.proto("n", one)


def test_tensors_of_other_types_are_foreign(tmp_path):
    nodes = [
        node("Cast", "x", "h", "to_half", to=10),
        node("Sigmoid", "h", "s", "sig"),
        node("Cast", "s", "y", "back", to=1),
    ]
    loaded = load_proto(model(nodes, ["x[N,4]"], ["y[N,4]"]), {"x": np.ones((2, 4), np.float32)}, tmp_path)
    tensors = loaded.structure.network.tensors
    foreign = {tensors[t].name for t in loaded.template.foreign}
    assert foreign >= {name for name in ("h", "s") if name in loaded.template.roots}
    assert foreign.isdisjoint({"x", "y"})
