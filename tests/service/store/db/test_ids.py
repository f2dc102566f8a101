from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from service.store.db.ids import TICKS_PER_MS, Ticks, is_id, new_id


def test_identifiers_are_uuids_of_version_7_that_tell_their_time() -> None:
    before = time.time_ns() // 1_000_000
    found = uuid.UUID(new_id())
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert before <= found.int >> 80 <= before + 60_000
    assert is_id(str(found))
    assert not is_id(str(found).upper())


def test_identifiers_sort_in_the_order_they_were_made() -> None:
    found = [new_id() for _ in range(5000)]
    assert found == sorted(set(found))


def test_threads_get_identifiers_of_their_own() -> None:
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda _: [new_id() for _ in range(500)], range(8)))
    assert len({one for part in parts for one in part}) == 4000
    assert all(part == sorted(part) for part in parts)


def test_a_clock_that_stands_or_is_set_back_does_not_stop_the_count() -> None:
    times = iter([2_000_000, 2_000_000, 1_000_000, 3_000_000])
    ticks = Ticks(lambda: next(times))
    assert [ticks.next() for _ in range(4)] == [
        2 * TICKS_PER_MS,
        2 * TICKS_PER_MS + 1,
        2 * TICKS_PER_MS + 2,
        3 * TICKS_PER_MS,
    ]
