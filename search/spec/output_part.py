"""A named part of a model output: ``output0[:, 4:]`` is every sample, from index 4 on along the axis after it.

Samples always come first, whatever the model's own order of axes is, so the first entry is ``:``. Entries are those of
NumPy's basic slicing (``4:``, ``:4``, ``-2:``, ``::2``, one number, which keeps its axis). A text that does not end in
``[:...]`` is the name of a whole output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.arrays import Array  # a client that reads goals needs no NumPy

_TEXT = re.compile(r"(?P<output>.+)\[\s*(?P<entries>:[^\[\]]*)\]")
_ENTRY = re.compile(r"(?P<index>-?\d+)|(?P<start>-?\d*):(?P<stop>-?\d*)(?::(?P<step>\d*))?")


@dataclass(frozen=True, slots=True)
class OutputPart:
    """A model output, or a part of it.

    Attributes:
        output: Name of the model output.
        slices: One per axis from the sample on; none for the whole output.
    """

    output: str
    slices: tuple[slice, ...] = ()

    def take(self, rows: Array) -> Array:
        """Return the part of ``rows``, samples first; a view."""
        return rows[self.slices] if self.slices else rows

    def __str__(self) -> str:
        entries = ", ".join(_entry(one) for one in self.slices)
        return f"{self.output}[{entries}]" if self.slices else self.output


def read_part(text: str) -> OutputPart:
    """Read an output or a part of one.

    Raises:
        ValueError: If what stands in the brackets is no list of slices, or does not begin with ``:``.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        return OutputPart(text)
    slices = tuple(_slice(entry.strip(), text) for entry in found["entries"].split(","))
    if slices[0] != slice(None):
        raise ValueError(f"{text!r}: the first axis is the sample and must be ':', as in {found['output']}[:, 4:]")
    return OutputPart(found["output"].strip(), slices)


def output_of(text: str) -> str:
    """Name of the model output that a text means or takes a part of."""
    return read_part(text).output


def outputs_of_parts(texts: Iterable[str]) -> tuple[str, ...]:
    """Model outputs that these texts mean or take parts of, each once, in order."""
    return tuple(dict.fromkeys(output_of(text) for text in texts))


def _slice(entry: str, text: str) -> slice:
    found = _ENTRY.fullmatch(entry)
    if found is None or found["step"] == "0":
        raise ValueError(f"{text!r}: {entry!r} is no slice; write such as [:, 4:] or [:, 0:4, ::2] behind the name")
    if found["index"] is not None:
        index = int(found["index"])
        return slice(index, index + 1 if index != -1 else None)
    start, stop, step = (int(part) if part else None for part in found.group("start", "stop", "step"))
    return slice(start, stop, None if step == 1 else step)


def _entry(one: slice) -> str:
    ends = f"{'' if one.start is None else one.start}:{'' if one.stop is None else one.stop}"
    return ends if one.step is None else f"{ends}:{one.step}"
