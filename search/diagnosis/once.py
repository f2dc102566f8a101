"""Findings of one kind, said once: a count, the first of them, and the list of all behind it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from search.records.finding import Finding

MAX_LISTED = 1000
"""Findings kept behind one; the count is that of all."""


def once_per_kind(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return ``findings`` with those of one code and severity put together, in the order of the first of each.

    Errors stay as they are: each says why a goal was missed, or what cannot be meant. The evidence of several is
    ``count`` and ``all``: message and evidence of each.
    """
    kinds: dict[tuple[str, str, int], list[Finding]] = {}
    numbers = count()
    for one in findings:
        kinds.setdefault((one.code, one.severity, next(numbers) if one.severity == "error" else -1), []).append(one)
    return tuple(_together(same) for same in kinds.values())


def _together(same: list[Finding]) -> Finding:
    first = same[0]
    if len(same) == 1:
        return first
    listed = [{"message": one.message, **one.evidence} for one in same[:MAX_LISTED]]
    return Finding(
        code=first.code,
        severity=first.severity,
        message=f"{len(same)} times, first: {first.message}",
        advice=first.advice,
        evidence={"count": len(same), "all": listed},
    )
