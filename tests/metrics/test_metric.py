"""What holds for every metric: splits, order, missing labels, nothing that JSON cannot carry."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import InvalidDataError
from search.metrics.part import Part
from search.metrics.registry import METRIC_NAMES, make_metric

CLASS_METRICS = ("top1", "top5", "f1")
OF_ARRAYS = tuple(name for name in METRIC_NAMES if make_metric(name).user is None)
"""Those that measure an output and a reference; the others give records, and pass the class for metrics of packages."""


def data_for(name, rng, n):
    if name == "miou":
        outputs = rng.standard_normal((n, 3, 2, 2)).astype(np.float32)
        return outputs, outputs, rng.integers(-1, 3, (n, 2, 2))
    shape = (n, 7) if name in CLASS_METRICS else (n, int(rng.integers(1, 40)), 3)
    outputs = rng.standard_normal(shape).astype(np.float32)
    reference = outputs + rng.standard_normal(shape).astype(np.float32) * np.float32(0.1)
    return outputs, reference, rng.integers(0, 7, n) if name in CLASS_METRICS else reference


@pytest.mark.parametrize("name", OF_ARRAYS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 20), max_size=4))
def test_the_value_is_the_same_for_any_split_and_through_json(name, seed, cuts):
    metric = make_metric(name, 90 if name == "atol" else None)
    outputs, reference, labels = data_for(name, np.random.default_rng(seed), 20)
    ends = sorted({0, 20, *cuts})
    parts = [
        Part.from_json(json.loads(json.dumps(metric.measure(outputs[a:b], reference[a:b], labels[a:b]).to_json())))
        for a, b in itertools.pairwise(ends)
    ]
    assert metric.value(parts) == metric.value([metric.measure(outputs, reference, labels)])


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_the_value_does_not_depend_on_the_order_or_the_memory_layout(name):
    metric = make_metric(name)
    outputs, reference, labels = data_for(name, np.random.default_rng(3), 200)
    order = np.random.default_rng(4).permutation(200)
    straight = metric.value([metric.measure(outputs, reference, labels)])
    assert metric.value([metric.measure(outputs[order], reference[order], labels[order])]) == straight
    fortran = np.asfortranarray(outputs)
    assert metric.value([metric.measure(fortran, reference, labels)]) == straight


def test_large_outputs_are_handled_a_few_rows_at_a_time_with_the_same_result():
    metric = make_metric("sqnr_db")
    rng = np.random.default_rng(5)
    outputs, reference = rng.standard_normal((2, 7, 10_000)).astype(np.float32)
    rows = [metric.measure(outputs[i : i + 1], reference[i : i + 1], None) for i in range(7)]
    assert metric.value(rows) == metric.value([metric.measure(outputs, reference, None)])


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_no_samples_give_no_value_but_a_reason(name):
    metric = make_metric(name)
    assert metric.result([]).reason == "no samples"
    outputs, reference, labels = data_for(name, np.random.default_rng(0), 4)
    empty = metric.measure(outputs[:0], reference[:0], labels[:0])
    assert (metric.result([empty]).value, metric.result([empty]).reason) == (None, "no samples")
    full = metric.measure(outputs, reference, labels)
    assert metric.value([empty, full]) == metric.value([full])


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_values_are_finite_numbers_of_python(name):
    metric = make_metric(name)
    value = metric.value([metric.measure(*data_for(name, np.random.default_rng(0), 9))])
    assert type(value) is float
    assert math.isfinite(value)


def test_missing_labels_are_named():
    with pytest.raises(InvalidDataError, match="'top1' needs labels"):
        make_metric("top1").measure(np.zeros((2, 3)), np.zeros((2, 3)), None)
    with pytest.raises(InvalidDataError, match="got 2 outputs, but 3 labels"):
        make_metric("top1").measure(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(3, np.int64))
