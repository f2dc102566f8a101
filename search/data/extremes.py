"""Data that says little about ranges: inputs that are all zero, and samples that alone set the range of an input."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from search.data.checks import batch_size
from search.data.fed import Fed

OUTLIER_RATIO = 50.0
"""Of a sample's largest value to that of all others, from which on it alone sets the range."""


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A sample far beyond all others.

    Attributes:
        input: Model input.
        sample: Index of the sample.
        value: Its largest absolute value.
        others: The largest absolute value of all other samples.
    """

    input: str
    sample: int
    value: float
    others: float


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """What the largest values of a data set say.

    Attributes:
        zero_inputs: Model inputs that are zero in every sample.
        outliers: Samples far beyond all others.
    """

    zero_inputs: tuple[str, ...] = ()
    outliers: tuple[Outlier, ...] = ()


def extremes_of(samples: Fed, ranged: Collection[str]) -> Extremes:
    """Look for inputs that are zero in every sample, and for samples that alone set the range of an input.

    Args:
        samples: Calibration data.
        ranged: Inputs whose values set a range; numbers that only choose rows, such as token types, may well be zero.
    """
    largest = {name: values for name, values in _largest(samples).items() if name in ranged}
    return Extremes(
        zero_inputs=tuple(name for name, values in largest.items() if not any(values)),
        outliers=tuple(
            found for name, values in largest.items() if (found := _outlier(name, np.asarray(values))) is not None
        ),
    )


def _largest(samples: Fed) -> dict[str, list[float]]:
    """Input to the largest absolute value of every sample."""
    largest: dict[str, list[float]] = {name: [] for name in samples.source.layout}
    step = batch_size(samples.source)
    for start in range(0, samples.n_samples, step):
        for name, rows in samples.source.batch(slice(start, start + step)).items():
            flat = np.abs(rows.reshape(len(rows), -1).astype(np.float64)) if rows.size else np.zeros((len(rows), 1))
            largest[name] += flat.max(axis=1).tolist()
    return largest


def _outlier(name: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Outlier | None:
    if len(values) < 2:
        return None
    last, first = np.argsort(values)[-2:]
    if values[first] > OUTLIER_RATIO * values[last] > 0:
        return Outlier(input=name, sample=int(first), value=float(values[first]), others=float(values[last]))
    return None
