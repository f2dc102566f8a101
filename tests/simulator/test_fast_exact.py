"""Why the fast way is exact: limbs, staircases and tables against plain Python integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.simulator.fast.limbs import cuts, limb_bounds, plan, split
from search.simulator.fast.single import Span, divided, divisors, is_cut_right, multiplied, multipliers
from search.simulator.rescale import Rescale, normalized


def rows(sizes: np.ndarray) -> np.ndarray:
    return sizes.reshape(sizes.shape[0], -1).sum(axis=1)


@given(st.lists(st.integers(-(2**16), 2**16), min_size=1), st.integers(1, 4))
def test_limbs_add_up_to_their_number_and_stay_within_their_bounds(numbers: list[int], n_limbs: int) -> None:
    reach = max(abs(number) for number in numbers)
    units = cuts(reach, n_limbs)
    limbs = split(np.array(numbers, np.int64), units)
    assert [sum(int(limb[i]) for limb in limbs) for i in range(len(numbers))] == numbers
    for limb, unit, bound in zip(limbs, (*units, 0), limb_bounds(reach, units), strict=True):
        assert all(int(value) % 2**unit == 0 and abs(int(value)) <= bound * 2**unit for value in limb)


@given(st.lists(st.integers(-(2**16), 2**16), min_size=1), st.integers(1, 16))
def test_a_float32_sum_with_a_large_number_cuts_off_a_limb(numbers: list[int], unit: int) -> None:
    x, magic = np.array(numbers, np.float32), np.float32(1.5 * 2.0 ** (23 + unit))
    coarse = (x + magic) - magic
    np.testing.assert_array_equal(coarse, split(np.array(numbers), (unit,))[0])


@settings(deadline=None)
@given(
    n=st.sampled_from([1, 9, 144, 1152, 5000]),
    bits=st.sampled_from([8, 16]),
    reach=st.sampled_from([1, 127, 128, 255, 32767, 32768, 65535]),
    seed=st.integers(0, 2**32),
)
def test_every_product_of_a_plan_stays_exact_and_they_add_up(n: int, bits: int, reach: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, n))
    x = rng.choice([-reach, reach, reach // 3], n)
    planned = plan(weights, reach, rows)
    limbs = split(x, planned.cuts)
    total = [0, 0, 0]
    for product in planned.products:
        for channel in range(3):
            terms = [int(a) * int(b) for a, b in zip(limbs[product.limb], product.weights[channel], strict=True)]
            assert sum(abs(term) for term in terms) <= product.bound << product.unit
            assert all(term % (1 << product.unit) == 0 for term in terms)
            total[channel] += sum(terms)
        assert product.bound <= 2**24
    assert total == [sum(int(a) * int(b) for a, b in zip(x, row, strict=True)) for row in weights]


def test_few_products_are_enough_for_layers_of_usual_size() -> None:
    rng = np.random.default_rng(0)
    eight, sixteen = (rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (64, 64 * 9)) for bits in (8, 16))
    counts = [len(plan(w, reach, rows).products) for w in (eight, sixteen) for reach in (128, 32768)]
    assert counts == [1, 2, 2, 4]  # a8w8, a16w8, a8w16, a16w16


def test_a_sum_too_long_for_float32_is_refused() -> None:
    with pytest.raises(ValueError, match=r"A sum over 65536 values is too long for exact float32 sums"):
        plan(np.full((1, 1 << 16), 2**45 - 1), 2**40, rows)


factors = st.floats(2.0**-14, 1.0).map(lambda f: normalized(f, 15))


@settings(deadline=None)
@given(rescale=factors, bound=st.integers(1, 2**18), places=st.lists(st.floats(-1, 1), max_size=50))
def test_a_found_divisor_rounds_every_integer_as_the_chip_does(
    rescale: Rescale, bound: int, places: list[float]
) -> None:
    s = divisors(rescale, Span(-bound, bound, -128, 127), "half_up")
    c = multipliers(rescale, Span(-bound, bound, -128, 127), "half_up")
    m, q = int(rescale.multiplier), int(rescale.shift)
    near = [round((n - 0.5) * 2**q / m) for n in (-127, -1, 0, 1, 2, 64, 127)]
    for a in [-bound, bound, 0, *(int(p * bound) for p in places), *(one + d for one in near for d in (-1, 0, 1))]:
        if abs(a) > bound:
            continue
        exact = max(-128, min(127, math.floor(Fraction(a * m, 2**q) + Fraction(1, 2))))
        for formula, found in ((divided, s), (multiplied, c)):
            if found is not None:
                assert np.clip(formula(np.asarray([a]), found), -128, 127)[0] == exact


def test_a_divisor_is_found_for_layers_of_usual_size() -> None:
    rng = np.random.default_rng(1)
    rescale = normalized(2.0 ** rng.uniform(-8, -5, 64), 15)
    assert divisors(rescale, Span(-(2**20), 2**20, -128, 127), "half_up") is not None


def test_no_divisor_is_claimed_where_float32_cannot_tell_the_steps_apart() -> None:
    assert divisors(normalized(0.7, 15), Span(-(2**16), 2**16, -(2**15), 2**15 - 1), "half_up") is None
    assert divisors(normalized(2.0**-16 * 1.1, 15), Span(-(2**24), 2**24, -128, 127), "half_up") is None
    assert divisors(Rescale(np.asarray(0), np.asarray(3)), Span(-9, 9, -128, 127), "half_up") is None
    tie = Rescale(np.asarray(1), np.asarray(1))  # one half: rne goes to even, the chip up
    assert divisors(tie, Span(-9, 9, -128, 127), "half_up") is None
    assert divisors(tie, Span(-9, 9, -128, 127), "half_even") is not None


@settings(deadline=None)
@given(
    multiplier=st.integers(1, 2**15 - 1),
    shift=st.integers(35, 47),
    bound=st.integers(1, 2**38 - 1),
    bits=st.sampled_from([8, 16]),
    places=st.lists(st.floats(-1, 1), max_size=20),
)
def test_a_cut_that_is_called_right_is_right(
    multiplier: int, shift: int, bound: int, bits: int, places: list[float]
) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rescale = Rescale(np.asarray([multiplier]), np.asarray([shift]))
    if not is_cut_right(rescale, Span(-bound, bound, low, high), 1 << 17):
        return
    near = [round((n - 0.5) * 2**shift / multiplier) + d for n in (-5, 0, 1, 2, 100) for d in (-1, 0, 1)]
    for v in [-bound, bound, *(int(p * bound) for p in places), *(one for one in near if abs(one) <= bound)]:
        exact = max(low, min(high, math.floor(Fraction(v * multiplier, 2**shift) + Fraction(1, 2))))
        cut = math.trunc(float(v) * math.ldexp(multiplier, -shift) + (2.0**17 + 0.5)) - 2**17
        assert max(low, min(high, cut)) == exact


def test_a_sum_that_is_rounded_up_to_a_step_is_no_right_cut() -> None:
    rescale, v = Rescale(np.asarray([2**15 - 1]), np.asarray([47])), 2147549186
    assert 2**46 - v * (2**15 - 1) == 2  # so v * c is 2**-46 below one half: float64 does not see it beside 2**17
    assert not is_cut_right(rescale, Span(-v, v, -128, 127), 1 << 17)
    assert is_cut_right(rescale, Span(1 - v, v - 1, -128, 127), 1 << 17)
