from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.calibration.collect import collect
from search.calibration.grids import Grids, GridSettings
from search.calibration.masks import DEEP, SHALLOW, Masks, masked_softmaxes
from search.calibration.ranges import Ranges, derive_ranges
from search.precision import Format
from search.quant.grid import ScaleRule
from search.runtime.feeding import Feeding
from search.targets.target import load_target
from tests.builders import model, node
from tests.evaluation.loading import Samples, load_proto

RNG = np.random.default_rng(3)
X = RNG.normal(size=(7, 5, 4)).astype(np.float32)
KEPT = np.arange(5) < RNG.integers(2, 6, size=(7, 1))
LOWEST = float(np.finfo(np.float32).min)


def attention(*, extra=(), outputs=("y[N,5,5]",)):
    """Scores of pairs of rows plus a mask, softmax along the last axis."""
    nodes = [
        node("Transpose", "x", "t", "turn", perm=[0, 2, 1]),
        node("MatMul", "x t", "p", "scores"),
        node("Unsqueeze", "m one", "u", "spread"),
        node("Add", "p u", "s", "masked"),
        node("Softmax", "s", "y", "soft", axis=-1),
        *extra,
    ]
    return model(nodes, ["x[N,5,4]", "m[N,5]"], list(outputs), {"one": np.array([1])})


def collected(tmp_path, deep, *, batch=64, proto=None):
    mask = np.where(KEPT, np.float32(0), np.float32(deep))
    data = {"x": X, "m": mask}
    loaded = load_proto(proto or attention(), data, tmp_path)
    network = loaded.structure.network
    found = collect(
        loaded.template.model, network, Samples(data), n_samples=7, feeding=Feeding(batch, fixed=False), threads=1
    )
    ranges = derive_ranges(found.at(7), [("min_max", 8)], rule=ScaleRule.POWER, lowest=found.masked)
    index = {tensor.name: i for i, tensor in enumerate(network.tensors)}
    return found, ranges, index


def scores():
    return X @ X.transpose(0, 2, 1)


@pytest.mark.parametrize("deep", [-1e4, LOWEST, -np.inf], ids=["-1e4", "lowest", "-inf"])
def test_masked_scores_count_as_just_nothing(deep, tmp_path):
    found, ranges, index = collected(tmp_path, deep)
    s = scores()
    kept = np.broadcast_to(KEPT[:, None, :], s.shape)
    top = np.where(kept, s, -np.inf).max(axis=-1, keepdims=True)
    lowest = min(float(s[kept].min()), float((top - SHALLOW)[(~KEPT).any(axis=1)].min()))
    low, high = ranges.by_method["min_max", 8][index["s"]]
    assert low == pytest.approx(lowest, rel=1e-5)
    assert high == pytest.approx(float(s[kept].max()), rel=1e-5)
    needed = np.broadcast_to(top - SHALLOW - s, s.shape)[~kept].min()
    assert ranges.by_method["min_max", 8][index["m"]][0] == pytest.approx(needed, rel=1e-5)
    assert found.at(7)[index["m"]].count == KEPT.size


def test_the_extremes_stay_those_of_all_values(tmp_path):
    _, ranges, index = collected(tmp_path, -1e4)
    assert ranges.extremes[index["m"]][0] == -1e4
    assert ranges.extremes[index["s"]][0] < -9e3


@pytest.mark.parametrize("batch", [1, 3])
def test_the_batch_size_changes_nothing(batch, tmp_path):
    expected, _, _ = collected(tmp_path, LOWEST)
    found, _, _ = collected(tmp_path, LOWEST, batch=batch)
    for one, other in zip(expected.at(7), found.at(7), strict=True):
        left, right = one.to_arrays(), other.to_arrays()
        assert all(np.array_equal(left[name], right[name]) for name in left)
    assert expected.masked == found.masked


def test_a_model_without_masks_counts_every_value(tmp_path):
    found, ranges, index = collected(tmp_path, -10.0)  # a bias, no mask
    assert not found.masked
    assert ranges.by_method["min_max", 8][index["m"]][0] == -10.0


@pytest.mark.parametrize(
    ("extra", "outputs"),
    [((), ("y[N,5,5]", "s[N,5,5]")), ((node("Sigmoid", "s", "z", "also"),), ("y[N,5,5]", "z[N,5,5]"))],
    ids=["output", "other reader"],
)
def test_scores_that_something_else_reads_keep_their_values(extra, outputs, tmp_path):
    _, ranges, index = collected(tmp_path, -1e4, proto=attention(extra=extra, outputs=outputs))
    assert ranges.by_method["min_max", 8][index["s"]][0] < -9e3


def test_a_mask_that_something_else_reads_keeps_its_values(tmp_path):
    extra = (node("Sigmoid", "m", "z", "also"),)
    _, ranges, index = collected(tmp_path, -1e4, proto=attention(extra=extra, outputs=("y[N,5,5]", "z[N,5]")))
    assert ranges.by_method["min_max", 8][index["m"]][0] == -1e4
    assert ranges.by_method["min_max", 8][index["s"]][0] > -100


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rows_run_along_the_axis_of_the_softmax(axis):
    x = RNG.normal(size=(3, 4, 5)).astype(np.float32) * 60
    got = Masks(()).scores(0, x, axis)
    lines, results = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), np.moveaxis(got, axis, -1)
    for line, result in zip(lines, results.reshape(lines.shape), strict=True):
        top = line.max()
        for value, counted in zip(line, result, strict=True):
            assert counted == (top - np.float32(SHALLOW) if value < top - np.float32(DEEP) else value)


def test_a_row_that_is_masked_whole_is_no_error(tmp_path):
    everything = np.full((2, 3), -np.inf, np.float32)
    with np.errstate(invalid="raise"):
        np.testing.assert_array_equal(Masks(()).scores(0, everything, -1), np.full((2, 3), -SHALLOW, np.float32))


def test_both_summands_of_the_scores_are_looked_at(tmp_path):
    loaded = load_proto(attention(), {"x": X, "m": np.zeros((7, 5), np.float32)}, tmp_path)
    network = loaded.structure.network
    (found,) = masked_softmaxes(loaded.template.model, network)
    assert network.tensors[found.scores].name == "s"
    assert [network.tensors[operand.tensor].name for operand in found.operands] == ["p", "m"]


@pytest.mark.parametrize("deep", [-1e4, -np.inf], ids=["-1e4", "-inf"])
def test_a_constant_mask_keeps_its_zeros_and_is_just_deep_enough(deep, tmp_path):
    causal = np.triu(np.full((5, 5), deep, np.float32), 1)
    nodes = [
        node("Transpose", "x", "t", "turn", perm=[0, 2, 1]),
        node("MatMul", "x t", "p", "scores"),
        node("Add", "p m", "s", "masked"),
        node("Softmax", "s", "y", "soft", axis=-1),
    ]
    loaded = load_proto(model(nodes, ["x[N,5,4]"], ["y[N,5,5]"], {"m": causal}), {"x": X}, tmp_path)
    network = loaded.structure.network
    found = collect(
        loaded.template.model, network, Samples({"x": X}), n_samples=7, feeding=Feeding(4, fixed=False), threads=1
    )
    s, kept = scores(), causal == 0
    top = np.where(kept, s, -np.inf).max(axis=-1, keepdims=True)
    needed = np.broadcast_to(top - SHALLOW - s, s.shape)[np.broadcast_to(~kept, s.shape)].min()
    (constant,) = found.masks
    assert network.constants[constant].node == "masked"
    assert found.masks[constant] == pytest.approx(needed, rel=1e-5)
    ranges = replace(derive_ranges(found.at(7), [("min_max", 8)], rule=ScaleRule.POWER), masks=found.masks)
    assert Ranges.from_arrays(ranges.to_arrays()).masks == found.masks
    grids = Grids(
        network,
        load_target("j6m", toolchain=None),
        ranges,
        lambda name: {"m": causal}[name],
        GridSettings(method_8="min_max", method_16="min_max"),
    )
    grid = grids.weight(constant, Format.INT8)
    assert set(np.unique(grid.values)) == {-128, 0}
    assert float(grid.scales) * 128 == pytest.approx(-needed, rel=1e-5)
