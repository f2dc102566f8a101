"""``--shape images=1x3x640x640``: the sizes of a model input, batch included."""

from __future__ import annotations

import re
from collections.abc import Iterable

from search.errors import UsageError

_SHAPE = re.compile(r"(?P<name>.+)=(?P<sizes>[0-9]+(?:[x,][0-9]+)*)")


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return input name to sizes.

    Raises:
        UsageError: If a text is none such, a size is 0, or an input is named twice.
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        match = _SHAPE.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"--shape {text!r} must read NAME=1x3x640x640: the sizes of one input, batch included.")
        sizes = tuple(int(size) for size in re.split("[x,]", match["sizes"]))
        if 0 in sizes:
            raise UsageError(f"--shape {text!r}: sizes start at 1.")
        if match["name"] in found:
            raise UsageError(f"--shape names the input {match['name']!r} twice.")
        found[match["name"]] = sizes
    return found
