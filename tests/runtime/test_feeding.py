from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import UnsupportedModelError
from search.runtime.feeding import BATCH, Feeding, probe_feeding
from search.runtime.session import Level, Session
from tests.builders import model, node


def probe(proto, declared, sample):
    return probe_feeding(Session(proto, level=Level.DEPLOYED), declared, sample)


def ones(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@given(n=st.integers(1, 40), batch=st.integers(1, 12), fixed=st.booleans())
def test_every_sample_is_run_once_in_order(n, batch, fixed):
    indices = np.random.default_rng(n).permutation(100)[:n]
    runs = list(Feeding(batch=batch, fixed=fixed).slices(indices))
    np.testing.assert_array_equal(np.concatenate([part[:fresh] for part, fresh in runs]), indices)
    if fixed:
        assert all(len(part) == batch and (part[fresh:] == part[fresh - 1]).all() for part, fresh in runs)
    else:
        assert all(len(part) == fresh for part, fresh in runs)


def test_nothing_to_run_is_no_run():
    assert list(Feeding(batch=4, fixed=True).slices(np.arange(0))) == []


def test_a_dynamic_model_takes_many_samples():
    proto = model([node("Relu", "x", "y")], ["x[N,3]"], ["y[N,3]"])
    assert probe(proto, {"x": (None, 3)}, {"x": ones(2, 3)}) == Feeding(batch=BATCH, fixed=False)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_declared_batch_is_kept(batch):
    proto = model([node("Relu", "x", "y")], [f"x[{batch},3]"], [f"y[{batch},3]"])
    assert probe(proto, {"x": (batch, 3)}, {"x": ones(2, 3)}) == Feeding(batch=batch, fixed=True)


def test_inputs_of_different_batch_are_refused():
    proto = model([node("Relu", "x", "y"), node("Relu", "v", "z")], ["x[2,3]", "v[4,3]"], ["y[2,3]", "z[4,3]"])
    with pytest.raises(UnsupportedModelError, match=r"different fixed batch sizes \[2, 4\]; export the model with one"):
        probe(proto, {"x": (2, 3), "v": (4, 3)}, {"x": ones(2, 3), "v": ones(2, 3)})


def test_a_fixed_input_decides_for_the_open_ones():
    proto = model([node("Relu", "x", "y"), node("Relu", "v", "z")], ["x[2,3]", "v[N,3]"], ["y[2,3]", "z[N,3]"])
    assert probe(proto, {"x": (2, 3), "v": (None, 3)}, {"x": ones(2, 3), "v": ones(2, 3)}) == Feeding(2, fixed=True)


def one_at_a_time(nodes, outputs, constants=None):
    proto = model(nodes, ["x[N,4]"], outputs, constants)
    return probe(proto, {"x": (None, 4)}, {"x": ones(2, 4)}) == Feeding(batch=1, fixed=True)


def test_a_model_whose_output_does_not_grow_is_fed_one_sample_at_a_time():
    assert one_at_a_time([node("ReduceSum", "x axes", "y", keepdims=1)], ["y[1,4]"], {"axes": np.array([0])})


def test_a_model_with_an_output_without_axes_is_fed_one_sample_at_a_time():
    assert one_at_a_time([node("ReduceSum", "x", "y", keepdims=0), node("Relu", "x", "z")], ["y[]", "z[N,4]"])


def test_a_model_that_mixes_samples_is_fed_one_sample_at_a_time():
    assert one_at_a_time([node("Softmax", "x", "y", axis=0)], ["y[N,4]"])


def test_a_model_that_fails_on_two_samples_is_fed_one_sample_at_a_time():
    assert one_at_a_time([node("Reshape", "x shape", "y")], ["y[1,4]"], {"shape": np.array([1, 4])})


def test_one_sample_of_data_says_nothing_about_batches():
    proto = model([node("Relu", "x", "y")], ["x[N,3]"], ["y[N,3]"])
    assert probe(proto, {"x": (None, 3)}, {"x": ones(1, 3)}) == Feeding(batch=1, fixed=True)


def test_a_model_that_runs_on_no_sample_is_an_error():
    proto = model([node("Reshape", "x shape", "y")], ["x[N,4]"], ["y[3,1]"], {"shape": np.array([3, 1])})
    with pytest.raises(
        UnsupportedModelError, match=r"Reshape .* cannot compute with the values and sizes it gets from x"
    ):
        probe(proto, {"x": (None, 4)}, {"x": ones(2, 4)})
