"""Numbers and names as the report prints them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.export.report import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0.0000"),
        (0.9101, "0.9101"),
        (0.91006, "0.9101"),
        (0.00352, "0.00352"),
        (0.0035, "0.00350"),
        (-0.5, "−0.5000"),
        (31.234, "31.23"),
        (200.0, "200.0"),
        (12345.6, "12,346"),
        (1.23e-5, "1.23e-05"),
    ],
)
def test_a_value_is_printed_with_fitting_digits(value, shown):
    assert text.figure(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(-0.0052, "−0.0052"), (0.0006, "+0.0006"), (0.25, "+0.2500"), (0.0, "0")])
def test_a_difference_has_a_sign(value, shown):
    assert text.difference(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "–"), (0.0, "0 %"), (0.0004, "< 0.1 %"), (0.065, "6.5 %"), (0.751, "75 %"), (1.0, "100 %")],
)
def test_a_small_share_never_looks_like_none(share, shown):
    assert text.percent(share).replace("\u00a0", " ") == shown


@pytest.mark.parametrize("value", [None, True, "0.5", float("nan"), float("inf"), [1]])
def test_only_finite_numbers_are_numbers(value):
    assert text.finite(value) is None


@pytest.mark.parametrize(("value", "shown"), [(61.2, "61.2 s"), (600, "10.0 min"), (9000, "2.5 h"), (None, "–")])
def test_a_duration_has_a_readable_unit(value, shown):
    assert text.seconds(value) == shown


@given(st.text(alphabet=st.characters(), max_size=400), st.integers(8, 120))
def test_a_cleaned_name_is_one_short_line_that_can_be_written_as_utf8(name, limit):
    cleaned = text.clean(name, limit)
    cleaned.encode()
    assert len(cleaned) <= limit
    assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    if len(name) <= limit and name.isascii() and name.isprintable():
        assert cleaned == name
