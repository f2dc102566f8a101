from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evaluation.biases import Bias, quantized_bias
from tests.builders import conv, model, node
from tests.evaluation.loading import load_proto


def bias(axis):
    return Bias(group=0, node="n", index=2, name="b", axis=axis)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(2**-20, 8, width=32)), min_size=1, max_size=6))
def test_each_channel_is_rounded_exactly_on_the_scale_of_its_accumulator(pairs):
    values = np.array([value for value, _ in pairs], np.float32)
    scales = np.array([scale for _, scale in pairs], np.float32)
    exact = [round(Fraction(float(v)) / Fraction(float(s))) for v, s in zip(values, scales, strict=True)]
    form = quantized_bias(bias(0), values, scales)
    assert form.grid is not None
    np.testing.assert_array_equal(form.grid.values, exact)
    assert form.grid.values.dtype == np.int32
    np.testing.assert_array_equal(form.grid.scales, scales)
    assert not form.grid.zero_points.any()


@pytest.mark.parametrize(
    ("value", "overflows"), [(2.0**31 - 1, False), (2.0**31, True), (-(2.0**31), False), (-(2.0**31) - 512, True)]
)
def test_a_value_beyond_int32_makes_the_whole_bias_stay_float(value, overflows):
    form = quantized_bias(bias(None), np.array([value, 0.0], np.float64), np.asarray(1.0, np.float32))
    assert (form.grid is None) is overflows
    assert form.overflowed is overflows


def test_one_number_for_channels_of_different_scale_stays_float():
    form = quantized_bias(bias(1), np.ones((1, 1), np.float32), np.array([0.1, 0.2], np.float32))
    assert form.grid is None
    assert not form.overflowed


def test_groups_of_a_transposed_conv_repeat_its_channels():
    form = quantized_bias(bias(0), np.array([1, 1, 1, 1], np.float32), np.array([0.5, 0.25], np.float32))
    assert form.grid is not None
    np.testing.assert_array_equal(form.grid.values, [2, 4, 2, 4])
    np.testing.assert_array_equal(form.grid.scales, np.array([0.5, 0.25, 0.5, 0.25], np.float32))


def test_a_full_matrix_has_its_channels_on_the_last_axis():
    form = quantized_bias(bias(1), np.ones((3, 2), np.float32), np.array([0.5, 0.25], np.float32))
    assert form.grid is not None
    assert form.grid.axis == 1
    np.testing.assert_array_equal(form.grid.values, [[2, 4]] * 3)


def test_biases_are_found_where_a_gemm_adds_them(tmp_path):
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(3, 3, 1, 1)),
        "b": rng.normal(size=3),
        "b4": rng.normal(size=(1, 3, 1, 1)),
        "b3": rng.normal(size=(3, 1, 1)),
        "m": rng.normal(size=(4, 4)),
        "bm": rng.normal(size=4),
    }
    nodes = [
        conv("one", "x", "c1", weight="w", bias="b"),
        conv("two", "c1", "c2", weight="w"),
        node("Add", "c2 b4", "a2", "add2"),
        conv("three", "a2", "c3", weight="w"),
        node("Add", "b3 c3", "a3", "add3"),
        node("MatMul", "a3 m", "mm", "four"),
        node("Add", "mm bm", "y", "add4"),
    ]
    x = rng.normal(size=(2, 3, 4, 4)).astype(np.float32)
    loaded = load_proto(model(nodes, ["x[N,3,4,4]"], ["y[N,3,4,4]"], constants), {"x": x}, tmp_path)
    found = {place: (one.name, one.axis) for place, one in loaded.template.biases.items()}
    assert found == {("one", 2): ("b", 0), ("add2", 1): ("b4", 1), ("add3", 0): ("b3", 0), ("add4", 1): ("bm", 0)}
