"""Which outputs of the float model are made of parts with very different ranges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from search.data.source import SampleSource
from search.evaluation.measure import runs
from search.metrics.range_parts import output_parts
from search.work.loaded import Loaded

LOOKED_AT = 16
"""Samples that are run; a part is told by what is large in all of them together."""


def parts_of_outputs(loaded: Loaded, samples: SampleSource) -> dict[str, tuple[str, ...]]:
    """Return the parts of every output that has some, as texts (``output0[:, 4:]``)."""
    names = [value.name for value in loaded.user.outputs]
    largest: dict[str, npt.NDArray[np.float64] | None] = {}
    for _, values in runs(
        loaded.user_session, samples, loaded.feeding, np.arange(min(LOOKED_AT, samples.n_samples)), names
    ):
        for name, rows in values.items():
            if rows.dtype.kind != "f":
                continue
            largest[name] = _larger(largest[name], rows) if name in largest else _largest(rows)
    known = {name: one for name, one in largest.items() if one is not None}
    found = {name: tuple(f"{name}{part}" for part in output_parts(one)) for name, one in known.items()}
    return {name: parts for name, parts in found.items() if parts}


def _largest(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Largest absolute value of every number of an output over some samples."""
    return np.asarray(np.abs(rows).max(axis=0, initial=0.0), np.float64)


def _larger(known: npt.NDArray[np.float64] | None, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
    """The same over more samples; None where sizes differ from sample to sample: parts have no fixed place then."""
    found = _largest(rows)
    return None if known is None or known.shape != found.shape else np.maximum(known, found)
