"""Bisection over a count, as a plan: the fewest that pass, the most that pass.

Curves of accuracy over a ratio are not monotone, so what comes back was itself seen to pass; that nothing
smaller passes is only known for the counts that were probed.
"""

from __future__ import annotations

from collections.abc import Callable

from search.tasks import Plan

Probe = Callable[[int], Plan[bool]]


def fewest(low: int, high: int, probe: Probe) -> Plan[int]:
    """Return the smallest count in ``(low, high]`` found to pass; ``low`` fails and ``high`` passes."""
    while high - low > 1:
        middle = (low + high) // 2
        passed = yield from probe(middle)
        low, high = (low, middle) if passed else (middle, high)
    return high


def most(low: int, high: int, probe: Probe) -> Plan[int]:
    """Return the largest count in ``[low, high)`` found to pass; ``low`` passes and ``high`` fails."""
    while high - low > 1:
        middle = (low + high) // 2
        passed = yield from probe(middle)
        low, high = (middle, high) if passed else (low, middle)
    return low


def fewest_doubling(limit: int, probe: Probe) -> Plan[int | None]:
    """Return the smallest count in ``1..limit`` found to pass, tried as 1, 2, 4, ...; None if even ``limit`` fails.

    For counts that are expected to be small and whose probes cost more the larger they are.
    """
    failed, count = 0, 1
    while True:
        passed = yield from probe(min(count, limit))
        if passed:
            return (yield from fewest(failed, min(count, limit), probe))
        if count >= limit:
            return None
        failed, count = count, count * 2
