from __future__ import annotations

import pytest

from search.assignment import Assignment
from search.errors import InvalidDataError
from search.precision import Precision
from search.targets.fitting.sufficient import check_sufficient, distinct
from tests.targets.fitting.chips import J6M, measured, network, times

P = Precision


def test_enough_is_enough():
    check_sufficient(J6M, times(J6M, [network(0)], n=14))


def test_too_little_data_is_refused_and_everything_missing_is_named():
    net = network(0)
    low = tuple(P.A8W8 if group.is_gemm else P.INT8 for group in net.groups)
    data = [measured(net, Assignment(low), 100.0), measured(net, Assignment((P.A8W8, P.INT16, *low[2:])), 101.0)]
    with pytest.raises(InvalidDataError) as caught:
        check_sufficient(J6M, data)
    text = str(caught.value)
    assert "2 different assignments were measured, 10 more are needed" in text
    assert "0 measurements have gemms at a16w8, at least 3 must" in text
    assert "2 measurements have gemms at a8w8" in text
    assert "no model has two times that differ by 5 %" in text
    assert "Measure further assignments" in text


def test_measuring_the_same_again_does_not_count_as_more():
    net = network(0)
    low = Assignment(tuple(P.A8W8 if group.is_gemm else P.INT8 for group in net.groups))
    same = [measured(net, low, us) for us in (90.0, 500.0, 100.0)]
    assert [one.microseconds for one in distinct(same)] == [100.0]
    with pytest.raises(InvalidDataError, match="1 different assignments were measured, 11 more"):
        check_sufficient(J6M, distinct(same * 20))


def test_times_that_do_not_differ_teach_nothing():
    data = [
        measured(one.network, one.assignment, 100.0 + i / 10) for i, one in enumerate(times(J6M, [network(0)], n=14))
    ]
    with pytest.raises(InvalidDataError, match="no model has two times that differ") as caught:
        check_sufficient(J6M, data)
    assert "more are needed" not in str(caught.value)
