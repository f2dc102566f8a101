from __future__ import annotations

import hashlib

import numpy as np
import pytest

from search.errors import UnsupportedModelError
from search.evaluation.measure import Use, measure, outputs_of, runs
from search.metrics.registry import make_metric
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session
from tests.builders import model, node
from tests.evaluation.loading import Samples

RNG = np.random.default_rng(0)
X = RNG.normal(size=(11, 4)).astype(np.float32)
LABELS = RNG.integers(0, 4, 11)
SAMPLES = Samples({"x": X}, {"labels": LABELS})
TOP1 = Use(id="top1@y", metric=make_metric("top1"), outputs=("y",), labels="labels")
COSINE = Use(id="cosine@y", metric=make_metric("cosine"), outputs=("y",), labels=None)


def network(batch="N"):
    """y = -x, z = relu(x)"""
    nodes = [node("Neg", "x", "y"), node("Relu", "x", "z")]
    return Session(model(nodes, [f"x[{batch},4]"], [f"y[{batch},4]", f"z[{batch},4]"]), level=Level.PLAIN)


@pytest.mark.parametrize(("batch", "fixed"), [(3, False), (64, False), (1, True), (4, True), (11, True)])
def test_metrics_do_not_depend_on_how_samples_are_fed(batch, fixed):
    session = network(batch if fixed else "N")
    order = RNG.permutation(11)
    measured = measure(session, SAMPLES, Feeding(batch, fixed), order, uses=(TOP1,), reference=None, errors_of=("y",))
    correct = np.argmax(-X[order], axis=1) == LABELS[order]
    assert TOP1.metric.value([measured.parts["top1@y"]]) == correct.mean()
    np.testing.assert_array_equal(measured.errors["y"]["l1"], np.zeros(11))


@pytest.mark.parametrize(("batch", "fixed"), [(3, False), (1, True), (4, True)])
def test_errors_compare_with_the_reference_sample_by_sample(batch, fixed):
    session = network(batch if fixed else "N")
    order = np.arange(10, -1, -1)
    measured = measure(
        session,
        SAMPLES,
        Feeding(batch, fixed),
        order,
        uses=(COSINE,),
        reference=lambda indices: {"y": X[indices], "z": X[indices]},
        errors_of=("y", "z"),
        transforms={"z": lambda value: value * 0 + np.float32(1)},
    )
    np.testing.assert_allclose(measured.errors["y"]["cosine"], np.full(11, 2), rtol=1e-6)
    np.testing.assert_allclose(measured.errors["y"]["atol"], 2 * np.abs(X[order]).max(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(measured.errors["z"]["atol"], np.zeros(11))
    assert COSINE.metric.value([measured.parts["cosine@y"]]) == pytest.approx(-1)


def test_the_digest_is_that_of_the_bytes_of_the_outputs_in_order():
    measured = measure(network(), SAMPLES, Feeding(4, fixed=False), np.arange(11), uses=(TOP1,), reference=None)
    digest = hashlib.sha256()
    for start in range(0, 11, 4):
        digest.update((-X[start : start + 4]).tobytes())
    assert measured.digest == digest.hexdigest()


def test_the_digest_sees_one_changed_bit_and_the_order():
    def digest(x, order):
        feeding = Feeding(4, fixed=False)
        samples = Samples({"x": x}, {"labels": LABELS})
        return measure(network(), samples, feeding, order, uses=(TOP1,), reference=None).digest

    changed = X.copy()
    changed[10, 3] = np.nextafter(changed[10, 3], np.float32(9))
    plain = digest(X, np.arange(11))
    assert plain == digest(X.copy(), np.arange(11))
    assert plain != digest(changed, np.arange(11))
    assert plain != digest(X, np.arange(11)[::-1].copy())


def test_every_run_reaches_the_sink_without_filling():
    seen = []
    measure(
        network(4),
        SAMPLES,
        Feeding(4, fixed=True),
        np.arange(11),
        uses=(TOP1,),
        reference=None,
        sink=lambda indices, values: seen.append((list(indices), values["y"].shape)),
    )
    assert seen == [([0, 1, 2, 3], (4, 4)), ([4, 5, 6, 7], (4, 4)), ([8, 9, 10], (3, 4))]


def test_a_batch_1_model_needs_no_sample_axis():
    nodes = [node("ReduceMax", "x axes", "y", keepdims=0)]
    proto = model(nodes, ["x[1,4]"], ["y[4]"], {"axes": np.array([0])}, opset=18)
    session = Session(proto, level=Level.PLAIN)
    got = outputs_of(session, SAMPLES, Feeding(1, fixed=True), np.arange(5), ["y"])
    np.testing.assert_array_equal(got["y"], X[:5])


def test_an_output_without_sample_axis_is_an_error_that_says_so():
    proto = model(
        [node("ReduceMax", "x axes", "y", keepdims=0)], ["x[N,4]"], ["y[4]"], {"axes": np.array([0])}, opset=18
    )
    session = Session(proto, level=Level.PLAIN)
    with pytest.raises(
        UnsupportedModelError, match=r"'y' has shape \[4\] for 3 samples: it has no sample axis\. Export"
    ):
        list(runs(session, SAMPLES, Feeding(3, fixed=False), np.arange(11), ["y"]))


def test_outputs_of_fixed_batches_are_put_together_in_order():
    order = np.array([7, 0, 3, 10, 1, 2])
    got = outputs_of(network(4), SAMPLES, Feeding(4, fixed=True), order, ["z", "y"])
    np.testing.assert_array_equal(got["y"], -X[order])
    np.testing.assert_array_equal(got["z"], np.maximum(X[order], 0))
