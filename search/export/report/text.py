"""Numbers and names as the report prints them.

A name comes from a model or a file, so it is hostile until cleaned: control and direction characters
are replaced, and the middle of a long one is left out. Escaping for HTML is the template's work.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Any

MISSING = "–"
"""Printed where a value does not exist."""

NAME_LIMIT = 120
"""Longest name in characters; the files beside the report hold names in full."""

_HARD = "\u00a0"  # no line break between a number and its sign
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}  # control, format (direction marks), private, surrogates, line breaks


def clean(value: Any, limit: int = NAME_LIMIT) -> str:
    """Return ``value`` as one safe line of at most ``limit`` characters, its middle replaced by ``…`` if longer."""
    text = str(value)
    if len(text) > limit:
        head = (limit - 1) * 3 // 5
        text = f"{text[:head]}…{text[-(limit - 1 - head) :]}"
    return "".join("\ufffd" if unicodedata.category(character) in _HIDDEN else character for character in text)


def ending(value: Any, limit: int) -> str:
    """Return the end of a path as one safe line of at most ``limit`` characters: it tells operators apart."""
    text = str(value)
    return clean(text if len(text) <= limit else f"…{text[1 - limit :]}")


def sentence(value: Any) -> str:
    """Return free text (a reason, a finding) as one safe line of at most 1,000 characters."""
    return clean(" ".join(str(value).split()), limit=1000)


def finite(value: Any) -> float | None:
    """Return ``value`` as a float, or None if it is missing, not a number, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def figure(value: float | None) -> str:
    """Return a measured value: four decimals near 1, three significant digits below 0.01, fewer decimals above 10."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    if size >= 1000:
        form = ",.0f"
    elif size >= 100:
        form = ".1f"
    elif size >= 10:
        form = ".2f"
    elif size >= 0.01 or value == 0:
        form = ".4f"
    else:
        form = "#.3g"
    return _minus(f"{value:{form}}")


def difference(value: float | None) -> str:
    """Return a difference with its sign and as many decimals as the values it is taken from."""
    if value is None or not math.isfinite(value):
        return MISSING
    if 0 < abs(value) < 0.01:
        return _minus(f"{value:+.4f}" if abs(value) >= 0.00005 else f"{value:+.2g}")
    return "0" if value == 0 else _minus(f"{'+' if value > 0 else '-'}{figure(abs(value))}")


def gap(size: float) -> str:
    """Return the size of a difference, without a sign."""
    return difference(abs(size)).removeprefix("+")


def interval(bounds: Any, *, signed: bool = False) -> str:
    """Return ``low to high``, or an empty text if the interval does not exist; ``signed`` for differences."""
    if not bounds:
        return ""
    low, high = (finite(bound) for bound in bounds)
    if low is None or high is None:
        return ""
    show = difference if signed else figure
    return f"{show(low)} to {show(high)}"


def cost(value: float | None, unit: str = "index") -> str:
    """Return a cost: an index with three decimals, or microseconds."""
    if value is None:
        return MISSING
    return f"{value:.3f}" if unit == "index" else f"{figure(value)} µs"


def percent(share: float | None) -> str:
    """Return a share of 1 in percent; tiny ones as ``< 0.1 %``, so that nothing looks like zero that is not."""
    if share is None:
        return MISSING
    if 0 < share < 0.001:
        return f"<{_HARD}0.1{_HARD}%"
    digits = 1 if abs(share) < 0.1 and share != 0 else 0
    return _minus(f"{100 * share:.{digits}f}{_HARD}%")


def count(value: Any) -> str:
    """Return a count with thousands separated, or a dash."""
    number = finite(value)
    if number is None:
        return MISSING
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def seconds(value: Any) -> str:
    """Return a duration in the unit a reader would use."""
    number = finite(value)
    if number is None:
        return MISSING
    if number < 120:
        return f"{number:.1f} s"
    return f"{number / 60:.1f} min" if number < 7200 else f"{number / 3600:.1f} h"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 trial`` or ``7 trials``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def words(identifier: Any) -> str:
    """Return an identifier such as ``common_ratio`` as words."""
    return clean(str(identifier).replace("_", " "))


def _minus(text: str) -> str:
    return "\u2212" + text[1:] if text.startswith("-") else text
