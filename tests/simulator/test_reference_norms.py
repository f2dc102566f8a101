"""Softmax and LayerNormalization in integers: the formulas one number at a time, and how far they are from float."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_step import INT16, WIDTHS, values_of

from search.quant.grid import Grid
from search.simulator.making.factors import result_rescale
from search.simulator.making.norms import EXP_END, layer_norm_constants, root_fraction, softmax_tables
from search.simulator.program import EuclideanNorm, LayerNorm, Softmax
from search.simulator.reference.norms import integer_root, run_euclidean_norm, run_layer_norm, run_softmax

SCALES = st.integers(-14, -1).map(lambda k: float(np.float32(1.37 * 2.0**k)))


def grid(bits: int, scale: float, zero_point: int = 0, signed: bool = True) -> Grid:
    return Grid(scale=scale, zero_point=zero_point, bits=bits, signed=signed)


def shares(bits: int) -> Grid:
    return grid(bits, 2.0 ** (1 - bits))


@given(v=st.integers(0, 2**52))
def test_the_root_is_that_of_integers(v: int) -> None:
    assert integer_root(np.array([v]))[0] == math.isqrt(v)


@given(k=st.integers(1, 2**26))
def test_the_root_is_right_next_to_every_square(k: int) -> None:
    assert integer_root(np.array([k * k - 1, k * k, k * k + 1])).tolist() == [k - 1, k, k]


# -- softmax


def softmax(x: npt.NDArray[np.int64], in_grid: Grid, out_grid: Grid) -> npt.NDArray[np.int64]:
    made = softmax_tables(in_grid, out_grid, WIDTHS, node="n")
    step = Softmax(
        name="n",
        output="y",
        input="x",
        axis=-1,
        entries=made.entries,
        segment_bits=made.segment_bits,
        rescale=made.rescale,
    )
    return run_softmax(step, values_of({"x": (x, in_grid)}, {"y": out_grid}))


@given(bits=st.sampled_from([8, 16]), scale=SCALES, n=st.integers(1, 40), seed=st.integers(0, 999))
def test_softmax_is_within_its_bound_of_float(bits: int, scale: float, n: int, seed: int) -> None:
    in_grid, out_grid = grid(bits, scale), shares(16)
    x = np.random.default_rng(seed).integers(in_grid.qmin, in_grid.qmax + 1, (3, n))
    real = np.exp((x - x.max(axis=-1, keepdims=True)) * scale)
    real = real / real.sum(axis=-1, keepdims=True)
    got = softmax(x, in_grid, out_grid) * out_grid.scale
    line = 2 * (2 * EXP_END / 1024) ** 2 / 8 if bits == 16 else 0.0
    bound = ((n / 2 + 2) * 2.0**-15 + line) * real + 2.0**-15 + out_grid.scale / 2
    assert np.all(np.abs(got - np.minimum(real, out_grid.high)) <= bound)


@given(seed=st.integers(0, 999), zero_point=st.integers(0, 255))
def test_softmax_does_not_depend_on_the_zero_point(seed: int, zero_point: int) -> None:
    x = np.random.default_rng(seed).integers(0, 256, (2, 5))
    plain = softmax(x, grid(8, 0.125, 0, signed=False), shares(16))
    np.testing.assert_array_equal(softmax(x, grid(8, 0.125, zero_point, signed=False), shares(16)), plain)


@pytest.mark.parametrize("bits", [8, 16])
def test_equal_values_get_equal_shares(bits: int) -> None:
    in_grid = grid(bits, 0.25)
    got = softmax(np.full((1, 4), in_grid.qmin), in_grid, shares(16))
    assert got.tolist() == [[8192] * 4]


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**-11, 2.0**-7, 1.0, 1000.0])
def test_the_extremes_of_16_bit_are_one_and_zero(scale: float) -> None:
    x = np.array([[2**15 - 1, -(2**15)]])
    got = softmax(x, grid(16, scale), shares(16))[0] * shares(16).scale
    real = 1 / (1 + math.exp(-min(65535 * scale, 700)))
    assert got == pytest.approx([real, 1 - real], abs=4 * 2.0**-15)


# -- layer normalization


def layer_norm(
    x: npt.NDArray[np.int64],
    in_grid: Grid,
    out_grid: Grid,
    *,
    gamma: npt.NDArray[np.int64] | None = None,
    gamma_scale: float = 1.0,
    beta: npt.NDArray[np.float64] | None = None,
    epsilon: float = 1e-5,
) -> tuple[npt.NDArray[np.int64], LayerNorm]:
    made = layer_norm_constants(
        in_grid,
        out_grid,
        WIDTHS,
        n=x.shape[-1],
        gamma=gamma,
        gamma_scale=gamma_scale,
        beta=beta,
        epsilon=epsilon,
        node="n",
    )
    step = LayerNorm(
        name="n",
        output="y",
        input="x",
        axis=-1,
        gamma=made.gamma,
        beta=made.beta,
        epsilon=made.epsilon,
        fraction=made.fraction,
        result_bits=made.result_bits,
        rescale=made.rescale,
    )
    return run_layer_norm(step, values_of({"x": (x, in_grid)}, {"y": out_grid})), step


@given(
    bits=st.sampled_from([8, 16]),
    scale=SCALES,
    n=st.integers(2, 60),
    seed=st.integers(0, 999),
    epsilon=st.sampled_from([1e-12, 1e-5, 1e-3]),
)
def test_layer_norm_is_within_its_bound_of_float(bits: int, scale: float, n: int, seed: int, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    in_grid, out_grid = grid(bits, scale), grid(16, 2.0**-10)
    width = rng.integers(1, in_grid.qmax)
    x = np.clip(np.rint(rng.normal(0, width, (3, n))), in_grid.qmin, in_grid.qmax).astype(np.int64)
    gamma, beta = rng.integers(-(2**15), 2**15, n), rng.uniform(-1, 1, n)
    got, step = layer_norm(x, in_grid, out_grid, gamma=gamma, gamma_scale=2.0**-14, beta=beta, epsilon=epsilon)
    real = x * scale
    deviation = real - real.mean(axis=-1, keepdims=True)
    sigma = np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + epsilon)
    z, g = deviation / sigma, gamma * 2.0**-14
    y = np.clip(z * g + beta, out_grid.low, out_grid.high)
    root = sigma / (scale * 2.0**-step.fraction)  # sigma in the units the integers have
    if root.min() < 4:
        return
    z_error = (np.abs(z) + 1) * 2.0 / (root - 1) + 2.0**-step.result_bits
    bound = np.abs(g) * (z_error + np.abs(z) * 2.0**-15) + out_grid.scale
    assert np.all(np.abs(got * out_grid.scale - y) <= bound)


@given(seed=st.integers(0, 999), zero_point=st.integers(0, 255))
def test_layer_norm_follows_its_formula_number_by_number(seed: int, zero_point: int) -> None:
    rng = np.random.default_rng(seed)
    in_grid = grid(8, 0.0625, zero_point, signed=False)
    x, gamma = rng.integers(0, 256, (1, 7)), rng.integers(-128, 128, 7)
    got, step = layer_norm(x, in_grid, INT16, gamma=gamma, gamma_scale=2.0**-6, beta=rng.normal(size=7))
    centered = [int(v) - zero_point for v in x[0]]
    mean = (sum(centered) * 2**step.fraction + 3) // 7
    d = [v * 2**step.fraction - mean for v in centered]
    sigma = max(1, math.isqrt(sum(v * v for v in d) // 7 + step.epsilon))
    for i, v in enumerate(d):
        z = max(-(2**15), min(2**15 - 1, (2 * v * 2**step.result_bits + sigma) // (2 * sigma)))
        y = z * int(gamma[i]) * int(step.rescale.multiplier) + int(step.beta[i])
        rounded = (y + (1 << (int(step.rescale.shift) - 1))) >> int(step.rescale.shift)
        assert got[0, i] == max(-(2**15), min(2**15 - 1, rounded))


@pytest.mark.parametrize("bits", [8, 16])
def test_constant_rows_become_beta(bits: int) -> None:
    in_grid, out_grid = grid(bits, 0.03125), grid(16, 2.0**-10)
    got, _ = layer_norm(np.full((2, 6), in_grid.qmin), in_grid, out_grid, beta=np.full(6, 0.5))
    assert got.tolist() == [[512] * 6] * 2


@pytest.mark.parametrize(("bits", "n"), [(8, 2), (8, 4096), (16, 2), (16, 768), (16, 65536)])
def test_the_sums_of_extreme_rows_stay_below_2_to_the_53(bits: int, n: int) -> None:
    in_grid = grid(bits, 2.0**-10)
    x = np.where(np.arange(n) % 2 == 0, in_grid.qmin, in_grid.qmax)[None]
    got, step = layer_norm(x, in_grid, grid(16, 2.0**-10))
    deviation = (in_grid.qmax - in_grid.qmin) * 2**step.fraction
    assert n * deviation**2 <= 2**53
    assert np.abs(np.abs(got) - 1024).max() <= 1


def test_a_single_value_far_out_keeps_its_place() -> None:
    """The largest z of n values is sqrt(n - 1): it must fit 16 bits."""
    n = 5000
    x = np.zeros((1, n), np.int64)
    x[0, 0] = 2**15 - 1
    got, step = layer_norm(x, grid(16, 2.0**-8), grid(16, 2.0**-8))
    assert math.sqrt(n - 1) * 2**step.result_bits < 2**15
    assert got[0, 0] * 2.0**-8 == pytest.approx(math.sqrt(n - 1), rel=2.0**-8)


# -- lengths


@given(bits=st.sampled_from([8, 16]), n=st.integers(1, 300), seed=st.integers(0, 999))
def test_a_length_is_the_root_of_the_sum_of_squares_number_by_number(bits: int, n: int, seed: int) -> None:
    in_grid = grid(bits, 0.125)
    x = np.random.default_rng(seed).integers(in_grid.qmin, in_grid.qmax + 1, (2, n))
    fraction = root_fraction(in_grid, n)
    out_grid = grid(16, 2.0 ** (math.ceil(math.log2(n) / 2) - 10 + bits - 8))
    rescale = result_rescale(in_grid.scale * 2.0**-fraction / out_grid.scale, WIDTHS, node="n").rescale
    step = EuclideanNorm(name="n", output="y", input="x", axes=(1,), keepdims=False, fraction=fraction, rescale=rescale)
    got = run_euclidean_norm(step, values_of({"x": (x, in_grid)}, {"y": out_grid}))
    roots = [math.isqrt(sum(int(v) ** 2 for v in row) * 4**fraction) for row in x]
    factor = Fraction(int(rescale.multiplier), 2 ** int(rescale.shift))
    assert got.tolist() == [min(math.floor(root * factor + Fraction(1, 2)), out_grid.qmax) for root in roots]
    real = np.sqrt((x.astype(np.float64) ** 2).sum(axis=1)) * in_grid.scale
    lost = in_grid.scale * 2.0**-fraction + out_grid.scale / 2 + real * 2.0**-14
    assert np.all(np.abs(got * out_grid.scale - np.minimum(real, out_grid.high)) <= lost)
