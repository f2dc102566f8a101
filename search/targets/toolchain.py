"""Versions of a tool-chain, and the window of versions in which a rule holds.

Versions compare number by number: ``3.10 > 3.9``, ``3.5 == 3.5.0``. A window is ``[toolchain_min, toolchain_below)``.
"""

from __future__ import annotations

import re

from search.errors import UsageError

_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version without trailing zeros, so that ``3.5`` equals ``3.5.0``.

    Raises:
        UsageError: If the text is not numbers joined by dots.
    """
    if not _VERSION.fullmatch(text):
        raise UsageError(f"Tool-chain version {text!r} is not numbers joined by dots; write it like 3.0.17.")
    numbers = [int(part) for part in text.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def in_window(toolchain: str | None, *, lowest: str | None, below: str | None) -> bool:
    """Whether ``lowest <= toolchain < below``; an open end is None.

    Without a tool-chain no window with an end holds.
    """
    if lowest is None and below is None:
        return True
    if toolchain is None:
        return False
    version = parse_version(toolchain)
    above = lowest is None or version >= parse_version(lowest)
    return above and (below is None or version < parse_version(below))


def window_text(lowest: str | None, below: str | None) -> str:
    """Return the window in words, e.g. ``from 3.2.0``."""
    words = [f"from {lowest}"] if lowest else []
    words += [f"below {below}"] if below else []
    return " and ".join(words)
