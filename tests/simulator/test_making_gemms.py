"""Bias and bounds in units of the accumulator; coarser weights where a bias would not fit."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.simulator.making.gemms import bias_integers, bound_integers
from search.simulator.making.infeasible import Infeasible

BIASES = st.floats(-1e4, 1e4, width=32)
SCALES = st.floats(2.0**-30, 2.0**-2, width=32)


@given(biases=st.lists(BIASES, min_size=3, max_size=3), x=SCALES, w=st.lists(SCALES, min_size=3, max_size=3))
def test_every_bias_is_the_nearest_integer_of_its_channel_and_fits(
    biases: list[float], x: float, w: list[float]
) -> None:
    weights = np.arange(-6, 6).reshape(3, 4) * 20
    made = bias_integers(
        np.array(biases), x, np.array(w), weights=weights, weight_axis=0, axis=None, acc_bits=32, node="n"
    )
    assert made.bias is not None
    assert made.weights is not None
    for channel in range(3):
        k = round(math.log2(made.weight_scales[channel] / w[channel]))
        assert made.weight_scales[channel] == w[channel] * 2.0**k
        step = x * w[channel] * 2.0**k
        assert made.scales[channel] == step
        assert abs(int(made.bias[channel])) < 2**30
        assert abs(biases[channel] / step - int(made.bias[channel])) <= 0.5 + abs(biases[channel] / step) * 2.0**-50
        assert k == 0 or abs(biases[channel] / (step / 2)) >= 2**30 - 1  # one bit fewer would not have done
        expected = [round(Fraction(int(value), 2**k)) for value in weights[channel]]
        assert made.weights[channel].tolist() == expected


def test_a_channel_with_a_huge_bias_loses_weight_bits_and_says_so() -> None:
    weights = np.array([[100, -100], [100, -101]])
    made = bias_integers(
        np.array([1.0, 2.0**20]), 2.0**-6, np.array([2.0**-7, 2.0**-7]),
        weights=weights, weight_axis=0, axis=None, acc_bits=32, node="conv",
    )  # fmt: skip
    assert made.bias is not None
    assert made.weights is not None
    assert made.bias.tolist() == [8192, 2**29]
    assert made.weights.tolist() == [[100, -100], [6, -6]]
    (warned,) = made.warnings
    assert (warned.code, warned.node, dict(warned.values)) == ("bias-coarser", "conv", {"channels": [1], "bits": 4})


def test_the_largest_bias_that_fits_needs_no_coarser_weights() -> None:
    weights = np.ones((1, 1), np.int64)
    for bias, bits in ((2**30 - 1, 0), (2**30, 1), (-(2**30) + 1, 0), (-(2**30), 1)):
        made = bias_integers(
            np.array([float(bias)]),
            1.0,
            np.array([1.0]),
            weights=weights,
            weight_axis=0,
            axis=None,
            acc_bits=32,
            node="n",
        )
        assert made.weight_scales.tolist() == [2.0**bits]


def test_a_single_number_becomes_one_integer_per_channel() -> None:
    made = bias_integers(
        np.asarray(3.0), 0.5, np.array([1.0, 2.0, 4.0]),
        weights=np.ones((3, 1), np.int64), weight_axis=0, axis=None, acc_bits=32, node="n",
    )  # fmt: skip
    assert made.bias is not None
    assert made.bias.tolist() == [6, 3, 2]


def test_a_bias_of_the_accumulators_rank_follows_its_channel_axis() -> None:
    bias = np.array([[1.0, 2.0**32], [3.0, 4.0]])
    made = bias_integers(
        bias, 1.0, np.array([0.5, 0.25]),
        weights=np.full((5, 2), 16), weight_axis=1, axis=-1, acc_bits=32, node="n",
    )  # fmt: skip
    assert made.bias is not None
    assert made.weights is not None
    assert made.weight_scales.tolist() == [0.5, 8.0]
    assert made.bias.tolist() == [[2, 2**29], [6, 0]]
    assert made.weights[0].tolist() == [16, 0]  # 16 / 32 is a tie: to even


def test_without_bias_nothing_changes() -> None:
    weights = np.ones((2, 2), np.int64)
    made = bias_integers(
        None, 0.5, np.array([1.0, 2.0]), weights=weights, weight_axis=0, axis=None, acc_bits=32, node="n"
    )
    assert made.bias is None
    assert made.weights is weights
    assert made.scales.tolist() == [0.5, 1.0]


def test_a_bias_that_no_weights_can_make_room_for_is_infeasible() -> None:
    with pytest.raises(Infeasible, match="OP:n bias:"):
        bias_integers(
            np.array([1e9]), 1e-3, np.asarray(1e-3), weights=None, weight_axis=0, axis=None, acc_bits=32, node="n"
        )


def test_a_bias_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="n: the bias holds a value that is not finite"):
        bias_integers(
            np.array([np.inf]), 1.0, np.asarray(1.0), weights=None, weight_axis=0, axis=None, acc_bits=32, node="n"
        )


def test_bounds_are_integers_of_the_accumulator() -> None:
    six = bound_integers(6.0, np.array([0.5, 2.0**-40]), 32)
    assert six is not None
    assert six.tolist() == [12, 2**31 - 1]
    assert bound_integers(-math.inf, np.asarray(1.0), 32) is None
    assert bound_integers(None, np.asarray(1.0), 32) is None
