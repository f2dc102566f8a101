"""Parts survive JSON exactly and merge in order."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from search.metrics.part import Part, merge


@given(hnp.arrays(np.bool_, st.integers(0, 40)))
def test_bits_come_back_from_json(values):
    part = Part.from_json(json.loads(json.dumps(Part(len(values), values=values).to_json())))
    assert part.values.dtype == np.bool_
    assert part.values.tolist() == values.tolist()


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 9), st.integers(1, 3))))
def test_floats_come_back_bit_for_bit_also_nan_and_infinity(values):
    text = json.dumps(Part(len(values), values=values).to_json(), allow_nan=False)
    back = Part.from_json(json.loads(text)).values
    assert back.shape == values.shape
    assert back.tobytes() == values.tobytes()


def test_sums_come_back_as_float64():
    sums = np.array([[1.0, 2.0**53], [0.0, 3.0], [1.0, 1.0]])
    back = Part.from_json(json.loads(json.dumps(Part(7, sums=sums).to_json())))
    assert back.n == 7
    assert np.array_equal(back.sums, sums)


def test_a_thousand_right_or_wrong_samples_take_less_than_200_bytes():
    part = Part(1000, values=np.zeros(1000, np.bool_))
    assert len(json.dumps(part.to_json())) < 200


def test_bits_of_another_count_are_refused():
    data = Part(9, values=np.ones(9, np.bool_)).to_json()
    with pytest.raises(ValueError, match="17 samples need 3 bytes of bits, got 2"):
        Part.from_json({**data, "n": 17})


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="one of bits, f32, f64"):
        Part.from_json({"n": 1, "text": ""})


def test_a_part_holds_values_or_sums():
    with pytest.raises(ValueError, match="either values or sums"):
        Part(1)
    with pytest.raises(ValueError, match="part of 3 samples has 2 values"):
        Part(3, values=np.zeros(2, np.float32))


def test_merging_concatenates_in_order():
    merged = merge(
        [Part(2, values=np.float32([1, 2])), Part(0, values=np.float32([])), Part(1, values=np.float32([3]))]
    )
    assert merged.n == 3
    assert merged.values.tolist() == [1, 2, 3]


def test_merging_sums_fills_classes_that_a_range_did_not_see():
    merged = merge([Part(1, sums=np.ones((3, 2))), Part(1, sums=np.ones((3, 4)))])
    assert merged.sums.tolist() == [[2, 2, 1, 1]] * 3


def test_parts_of_different_metrics_do_not_merge():
    with pytest.raises(ValueError, match="different metrics"):
        merge([Part(1, values=np.zeros(1, np.bool_)), Part(1, values=np.zeros(1, np.float32))])
    with pytest.raises(ValueError, match="different metrics"):
        merge([Part(1, values=np.zeros(1, np.bool_)), Part(1, sums=np.zeros((3, 1)))])
    with pytest.raises(ValueError, match="no part"):
        merge([])


def test_the_first_samples_of_a_part():
    part = Part(3, values=np.float32([1, 2, 3]))
    assert part.first(2).values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="Cannot take 4 samples of a part of 3"):
        part.first(4)
