"""Error rates of sequences: edits between what was read and what was meant, over the length of what was meant.

    wer, cer   sum of edit distances / sum of lengths; the ids of labels are words, or characters

An output ``[n, steps, ids]`` of scores is read as by greedy CTC: the best id of each step, repeats once, id 0 (blank)
dropped. An output ``[n, steps]`` of an integer type holds the ids. Negative ids are padding, in outputs and labels.
Labels are ``[n, length]``, or one array per sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.arrays import Array, Integer

BLANK = 0


def edits_and_length(outputs: Mapping[str, Array], labels: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the edit distance and the length of what was meant, per sample.

    Raises:
        ValueError: If the output is neither scores nor ids of steps, or labels are no ids.
    """
    (output,), (label,) = outputs.values(), labels.values()
    found = []
    for row, meant in zip(read_ids(output), label, strict=True):
        ids = np.asarray(meant)
        if ids.dtype.kind not in "iu" or ids.ndim != 1:
            raise ValueError(f"labels are {ids.dtype} with {ids.ndim} axes per sample; they must be ids in a row")
        ids = ids[ids >= 0]
        found.append((edit_distance(row, ids), len(ids)))
    return found


def error_rate(records: Sequence[Any]) -> float:
    """Return edits over length; not a number where nothing was meant."""
    edits, length = np.sum(np.asarray(records, np.int64), axis=0)
    return float(edits) / float(length) if length else float("nan")


def read_ids(output: Array) -> list[npt.NDArray[np.int64]]:
    """Return the ids that an output reads, per sample.

    Raises:
        ValueError: If it is neither ``[n, steps, ids]`` nor integers ``[n, steps]``.
    """
    if output.ndim == 3:
        best = np.argmax(output, axis=2)
        is_new = np.diff(best, axis=1, prepend=-1) != 0
        return [row[new & (row != BLANK)] for row, new in zip(best, is_new, strict=True)]
    if output.ndim == 2 and output.dtype.kind in "iu":
        return [row[row >= 0].astype(np.int64) for row in output]
    raise ValueError(
        f"the output is {output.dtype} of shape {list(output.shape)}; it must be scores [n, steps, ids] or "
        "ids [n, steps]"
    )


def edit_distance(one: npt.NDArray[Integer], two: npt.NDArray[Integer]) -> int:
    """Return the fewest insertions, deletions and substitutions that make ``one`` into ``two``."""
    row = np.arange(len(two) + 1)
    steps = np.arange(len(two) + 1)
    for n, item in enumerate(one, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (two != item))
        # An insertion adds one to its left neighbour: a running minimum of the distance to the diagonal.
        row = np.minimum.accumulate(np.append(n, best) - steps) + steps
    return int(row[-1])
