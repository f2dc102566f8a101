"""The "did you mean" of messages about unknown words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_WORD = 64
"""Longer words are no slip of anybody; comparing them takes time."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the word of ``known`` closest to ``word``, or an empty text."""
    if len(word) > MAX_WORD:
        return ""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def listing(words: Iterable[str]) -> str:
    """Return ``'a', 'b'`` for a message, or ``nothing``."""
    return ", ".join(repr(word) for word in words) or "nothing"
