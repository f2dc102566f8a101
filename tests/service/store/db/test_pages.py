"""Cursors and identifiers: what comes back is what went in, and nothing else is taken."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.db.errors import BadCursorError
from service.store.db.ids import is_id, new_id
from service.store.db.pages import Order, decode, encode
from service.store.db.trials import ORDERS
from tests.service.store.db.rows import OTHER

BY_COST, BY_NUMBER = ORDERS["cost"], ORDERS["no"]


@given(cost=st.floats(allow_nan=False, allow_infinity=False), number=st.integers(-(2**31), 2**31 - 1))
def test_a_cursor_gives_its_values_back_exactly(cost: float, number: int) -> None:
    cursor = encode(BY_COST, [cost, number])
    assert repr(decode(cursor, BY_COST)) == repr((cost, number))
    assert cursor.replace("-", "").replace("_", "").isalnum()


def raw(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


BAD: list[tuple[str, Order]] = [
    ("", BY_NUMBER),
    ("é", BY_NUMBER),
    ("%%%", BY_NUMBER),
    (raw({"no": 1}), BY_NUMBER),
    (raw(["trials.no"]), BY_NUMBER),
    (raw(["trials.no", "1"]), BY_NUMBER),
    (raw(["trials.no", True]), BY_NUMBER),
    (raw(["trials.no", 2**40]), BY_NUMBER),
    (raw(["trials.no", 1, 2]), BY_NUMBER),
    (raw(["trials.-no", 1]), BY_NUMBER),
    (raw(["trials.cost", float("inf"), 1]), BY_COST),
    (raw(["trials.cost", float("nan"), 1]), BY_COST),
    (raw([[[[]]]]) * 400, BY_NUMBER),
]


@pytest.mark.parametrize(("cursor", "order"), BAD)
def test_another_text_is_no_cursor(cursor: str, order: Order) -> None:
    with pytest.raises(BadCursorError):
        decode(cursor, order)


@given(text=st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(BadCursorError):
        decode(text, BY_COST)


def test_identifiers_are_uuids_of_version_7_that_sort_by_time() -> None:
    first = new_id()
    time.sleep(0.002)
    second = new_id()
    found = uuid.UUID(first)
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert abs((found.int >> 80) / 1000 - time.time()) < 5.0
    assert first < second
    assert len({new_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("text", ["", "x", "../x", OTHER.upper(), "{" + OTHER + "}", OTHER + "\n"])
def test_other_texts_are_no_identifiers(text: str) -> None:
    assert not is_id(text)
    assert is_id(new_id())
