from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import UsageError
from search.targets.toolchain import in_window, parse_version, window_text

VERSION = st.lists(st.integers(0, 30), min_size=1, max_size=4)


def test_versions_compare_as_numbers_not_as_text():
    assert parse_version("3.10.0") > parse_version("3.9.9")
    assert parse_version("3.5") == parse_version("3.5.0") == parse_version("3.05")


@given(VERSION, VERSION)
def test_order_is_that_of_padded_number_lists(a, b):
    width = max(len(a), len(b))
    pad_a, pad_b = a + [0] * (width - len(a)), b + [0] * (width - len(b))
    text_a, text_b = ".".join(map(str, a)), ".".join(map(str, b))
    assert in_window(text_a, lowest=text_b, below=None) == (pad_a >= pad_b)
    assert in_window(text_a, lowest=None, below=text_b) == (pad_a < pad_b)


def test_without_a_toolchain_only_open_windows_hold():
    assert in_window(None, lowest=None, below=None)
    assert not in_window(None, lowest="1.0", below=None)
    assert not in_window(None, lowest=None, below="9.0")


@pytest.mark.parametrize("text", ["", "v3", "3.", "3.x", "3..1", "٣"])
def test_other_texts_are_refused(text):
    with pytest.raises(UsageError, match=r"write it like 3\.0\.17"):
        parse_version(text)


def test_a_window_reads_as_words():
    assert window_text("3.2.0", "3.5.0") == "from 3.2.0 and below 3.5.0"
