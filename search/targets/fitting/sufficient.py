"""Whether measurements are enough for a fit, and what is missing if not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.errors import InvalidDataError
from search.precision import Precision
from search.targets.fitting.measured import Measured
from search.targets.target import Target

MIN_MEASUREMENTS = 12
MIN_PER_PRECISION = 3
MIN_SPREAD = 1.05
"""Ratio of slowest to fastest within a model: below it there is no order to learn."""


def distinct(measured: Sequence[Measured]) -> tuple[Measured, ...]:
    """Return one measurement per model and assignment: the median of repeated ones."""
    by_identity: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        by_identity.setdefault(one.identity, []).append(one)
    return tuple(sorted(same, key=lambda one: one.microseconds)[len(same) // 2] for same in by_identity.values())


def check_sufficient(target: Target, measured: Sequence[Measured]) -> None:
    """Refuse a fit from too little data.

    Args:
        target: What is fitted.
        measured: Distinct measurements.

    Raises:
        InvalidDataError: If there is too little; the message names everything that is missing.
    """
    missing = [*_too_few(measured), *_precisions(target, measured), *_spread(measured)]
    if missing:
        raise InvalidDataError(
            f"Too little was measured to fit target {target.name!r}: {'; '.join(missing)}. "
            "Measure further assignments of the same models, such as uniform ones and mixes of precisions."
        )


def _too_few(measured: Sequence[Measured]) -> list[str]:
    n = len(measured)
    if n >= MIN_MEASUREMENTS:
        return []
    return [f"{n} different assignments were measured, {MIN_MEASUREMENTS - n} more are needed"]


def _precisions(target: Target, measured: Sequence[Measured]) -> list[str]:
    """Precisions of gemms that a search on this target moves between, and that hardly occur."""
    wanted = dict.fromkeys((target.all_low_gemm, target.all_high_gemm))
    counts = {precision: sum(_runs(one, precision) for one in measured) for precision in wanted}
    return [
        f"{n} measurements have gemms at {precision.value}, at least {MIN_PER_PRECISION} must"
        for precision, n in counts.items()
        if n < MIN_PER_PRECISION
    ]


def _runs(one: Measured, precision: Precision) -> bool:
    if one.network is None or one.assignment is None:
        return bool((one.sums or {}).get(f"relative_rate.{precision.value}"))
    pairs = zip(one.network.groups, one.assignment.precisions, strict=True)
    return any(group.is_gemm and own is precision for group, own in pairs)


def _spread(measured: Sequence[Measured]) -> list[str]:
    times: dict[str, list[float]] = {}
    for one in measured:
        times.setdefault(one.model, []).append(one.microseconds)
    if any(max(found) >= MIN_SPREAD * min(found) for found in times.values()):
        return []
    percent = np.round(100 * (MIN_SPREAD - 1))
    return [f"no model has two times that differ by {percent:.0f} %"]
