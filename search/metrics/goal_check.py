"""From a limit to the value a metric must reach, and whether it is reached.

    max_drop d       score >= float - d          max_increase d   error <= float + d
    min_ratio r      score >= r * float          min_ratio r      error <= float / r
    min_value v      score >= v                  max_value v      error <= v

Rounding: the required value is computed exactly from the shortest decimal texts of its operands and rounded once, so
0.743 - 0.01 is 0.733. ``meets`` allows 1e-12 relative: two rates of up to 10^11 samples that differ at all differ
by more, so the verdict on right-or-wrong metrics is the one of exact fractions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from search.errors import InvalidDataError
from search.metrics.reductions import Direction

LimitKind = Literal["max_drop", "max_increase", "min_ratio", "min_value", "max_value"]

RELATIVE_TOLERANCE = 1e-12


def required_value(kind: LimitKind, limit: float, float_value: float | None, direction: Direction) -> float:
    """Return the value that must be reached.

    Args:
        kind: What the limit means.
        limit: Checked by the job spec's ``Goal``.
        float_value: Value of the float model; needed by the relative kinds.
        direction: Which way is better.

    Raises:
        InvalidDataError: If a relative limit has no float value to relate to, or a ratio meets a negative one.
    """
    if kind in ("min_value", "max_value"):
        return limit
    if float_value is None:
        raise InvalidDataError(
            f"{kind} relates to the float model's value, but it has none here; use an absolute limit."
        )
    if kind == "min_ratio" and float_value < 0:
        raise InvalidDataError(f"min_ratio has no meaning for the negative float value {float_value}; use min_value.")
    base, step = Fraction(repr(float_value)), Fraction(repr(limit))
    if kind == "max_drop":
        exact = base - step
    elif kind == "max_increase":
        exact = base + step
    else:
        exact = base * step if direction == "higher" else base / step
    return _snapped(exact, scale=max(abs(base), abs(step)))


def _snapped(exact: Fraction, *, scale: Fraction) -> float:
    # 1/3 as a float minus 0.3333333333333333 is noise, not a requirement.
    return 0.0 if abs(exact) <= scale * Fraction(1, 10**15) else float(exact)


def meets(value: float | None, required: float, direction: Direction) -> bool:
    """Return whether ``value`` reaches ``required`` within 1e-12 relative; an undefined value never does."""
    if value is None:
        return False
    slack = RELATIVE_TOLERANCE * max(abs(value), abs(required))
    return value >= required - slack if direction == "higher" else value <= required + slack


def shortfall(value: float | None, required: float, direction: Direction) -> float | None:
    """Return how far ``value`` is from ``required``: 0 where it is met, None where the value is undefined."""
    if value is None:
        return None
    if meets(value, required, direction):
        return 0.0
    return abs(required - value)
