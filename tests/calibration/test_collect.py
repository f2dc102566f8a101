from __future__ import annotations

import numpy as np
import pytest

from search.calibration.collect import bounded, collect, fresh_part, part_bounds, with_outputs
from search.graph.network import Network
from search.quant.histogram import Histogram
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session
from tests.builders import conv, model, node, save
from tests.evaluation.loading import Samples, load, load_proto

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(13, 3, 4, 4)) * RNG.lognormal(size=(13, 1, 1, 1))).astype(np.float32)


def network(batch="N"):
    """Conv, flattened to rows of its own, a product, and a constant that only shapes decide."""
    constants = {
        "w": np.random.default_rng(1).normal(size=(4, 3, 1, 1)),
        "rows": np.array([-1, 4]),
        "m": np.random.default_rng(2).normal(size=(4, 5)),
        "half": np.float32(0.5),
    }
    nodes = [
        conv("c", "x", "a", weight="w"),
        node("Sigmoid", "a", "s", "sig"),
        node("Reshape", "s rows", "r", "rows_of_samples"),
        node("MatMul", "r m", "p", "product"),
        node("Reshape", "p shape", "y", "back"),
    ]
    constants["shape"] = np.array([-1, 16, 5])
    return model(nodes, [f"x[{batch},3,4,4]"], [f"y[{batch},16,5]"], constants)


def same(a: Histogram, b: Histogram) -> bool:
    left, right = a.to_arrays(), b.to_arrays()
    return all(np.array_equal(left[name], right[name]) for name in left)


def collected(loaded, feeding, n=13, x=X):
    return collect(
        loaded.template.model, loaded.structure.network, Samples({"x": x}), n_samples=n, feeding=feeding, threads=1
    )


@pytest.mark.parametrize("batch", [1, 2, 5, 13])
def test_the_batch_size_does_not_change_the_histograms(batch, tmp_path):
    loaded = load_proto(network(), {"x": X}, tmp_path)
    expected = collected(loaded, Feeding(64, fixed=False))
    found = collected(loaded, Feeding(batch, fixed=False))
    assert expected.bounds == found.bounds
    for a, b in zip(expected.parts, found.parts, strict=True):
        assert all(same(one, other) for one, other in zip(a, b, strict=True))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_counts_no_filling(batch, tmp_path):
    dynamic = load_proto(network(), {"x": X}, tmp_path)
    fixed = load(save(network(batch), tmp_path, "fixed.onnx"), {"x": X[:2]}, threads=1)
    assert (fixed.feeding.batch, fixed.feeding.fixed) == (batch, True)
    expected, found = collected(dynamic, Feeding(64, fixed=False)), collected(fixed, fixed.feeding)
    for tensor, a, b in zip(dynamic.structure.network.tensors, expected.at(13), found.at(13), strict=True):
        assert a.count == b.count == 13 * tensor.elements
        assert same(a, b)


def test_every_tensor_is_counted_as_numpy_counts_it(tmp_path):
    loaded = load_proto(network(), {"x": X}, tmp_path)
    found = dict(
        zip(
            (t.name for t in loaded.structure.network.tensors),
            collected(loaded, Feeding(5, fixed=False)).at(13),
            strict=True,
        )
    )
    values = Session(with_outputs(loaded.template.model, ["a", "s"]), level=Level.DEPLOYED).run({"x": X})
    for name, array in {"x": X, **{name: values[name] for name in ("a", "s", "y")}}.items():
        tensor = "p" if name == "y" else name
        direct = Histogram()
        direct.update(np.ascontiguousarray(array))
        assert same(found[tensor], direct), name


def test_a_prefix_of_the_parts_is_the_pass_over_fewer_samples(tmp_path):
    loaded = load_proto(network(), {"x": X}, tmp_path)
    whole = collected(loaded, Feeding(4, fixed=False))
    assert whole.bounds == (3, 6, 13)
    for n in whole.bounds:
        fewer = collected(loaded, Feeding(64, fixed=False), n=n)
        assert all(same(a, b) for a, b in zip(whole.at(n), fewer.at(n), strict=True))


def test_other_sample_counts_are_refused(tmp_path):
    loaded = load_proto(network(), {"x": X}, tmp_path)
    with pytest.raises(ValueError, match=r"kept for \(3, 6, 13\) samples, not for 5"):
        collected(loaded, Feeding(4, fixed=False)).at(5)


@pytest.mark.parametrize(("n", "bounds"), [(1, (1,)), (2, (1, 2)), (3, (1, 3)), (4, (1, 2, 4)), (100, (25, 50, 100))])
def test_parts_end_at_a_quarter_a_half_and_all(n, bounds):
    assert part_bounds(n) == bounds


def test_values_that_are_not_finite_are_tallied_and_left_out(tmp_path):
    nodes = [node("Sqrt", "x", "y", "root")]
    x = np.array([[4.0, -1.0, np.inf, 0.25]] * 2, np.float32)
    loaded = load_proto(model(nodes, ["x[N,4]"], ["y[N,4]"]), {"x": x}, tmp_path)
    found = collected(loaded, Feeding(1, fixed=False), n=2, x=x).at(2)
    y = found[loaded.template.roots["y"]]
    assert (y.count, y.n_nonfinite, y.low, y.high) == (4, 4, 0.5, 2.0)


def test_tensors_without_axes_are_counted(tmp_path):
    nodes = [node("ReduceSum", "x", "t", "sum", keepdims=0), node("Mul", "x t", "y", "scaled")]
    x = np.ones((4, 2), np.float32)
    loaded = load_proto(model(nodes, ["x[N,2]"], ["y[N,2]"]), {"x": x}, tmp_path)
    found = collected(loaded, Feeding(1, fixed=True), n=4, x=x).at(4)
    assert found[loaded.template.roots["t"]].count == 4


def test_what_follows_from_shapes_alone_is_counted_once_however_many_runs_there_are(tmp_path):
    # Cast(Shape(x)[1:]) does not depend on the data; shapes that grow with the batch would stay in the graph.
    constants = {"one": np.array([1]), "two": np.array([2]), "zero": np.array([0])}
    nodes = [
        node("Shape", "x", "shape", "shape"),
        node("Slice", "shape one two zero", "size", "size"),
        node("Cast", "size", "number", "cast", to=1),
        node("Mul", "x number", "y", "scaled"),
    ]
    proto = model(nodes, ["x[N,2]"], ["y[N,2]"], constants)
    x = np.ones((8, 2), np.float32)
    loaded = load_proto(proto, {"x": x}, tmp_path)
    if "number" in loaded.template.roots:  # not where preparation has folded it
        t = loaded.template.roots["number"]
        counts = {collected(loaded, Feeding(b, fixed=False), n=8, x=x).at(8)[t].count for b in (1, 2, 8)}
        assert len(counts) == 1


def test_inputs_know_whether_they_held_whole_numbers(tmp_path):
    nodes = [node("Relu", "x", "r", "relu"), node("Add", "r v", "y", "add")]
    loaded = load_proto(
        model(nodes, ["x[N,2]", "v[N,2]"], ["y[N,2]"]), {name: np.ones((2, 2), np.float32) for name in "xv"}, tmp_path
    )
    samples = Samples({"x": np.array([[1, 255]] * 4, np.float32), "v": np.array([[1, 2]] * 3 + [[1, 0.5]], np.float32)})
    found = collect(
        loaded.template.model,
        loaded.structure.network,
        samples,
        n_samples=4,
        feeding=Feeding(1, fixed=False),
        threads=1,
    )
    roots = loaded.template.roots
    assert found.integral[roots["x"]]
    assert not found.integral[roots["v"]]
    assert not found.integral[roots["r"]]  # whole by chance: what the network computes is data of another day


@pytest.mark.parametrize(
    ("shape", "batch", "fresh", "expected"),
    [
        ((4, 3), 4, 2, (2, 3)),
        ((12, 3), 4, 2, (6, 3)),
        ((7, 4, 3), 4, 2, (7, 2, 3)),
        ((7, 3), 4, 2, (7, 3)),
        ((), 4, 2, ()),
        ((7,), 4, 4, (7,)),
    ],
)
def test_the_part_of_the_first_samples_is_cut_out(shape, batch, fresh, expected):
    value = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    part = fresh_part(value, batch, fresh)
    assert part.shape == expected
    assert not part.size or part.reshape(-1)[0] == value.reshape(-1)[0]


def test_batches_are_bounded_by_memory(tmp_path):
    found: Network = load_proto(network(), {"x": X}, tmp_path).structure.network
    per_sample = 4 * sum(tensor.elements for tensor in found.tensors)
    assert bounded(Feeding(64, fixed=False), found, 3 * per_sample) == Feeding(3, fixed=False)
    assert bounded(Feeding(64, fixed=False), found, 1) == Feeding(1, fixed=False)
    assert bounded(Feeding(4, fixed=True), found, 1) == Feeding(4, fixed=True)
