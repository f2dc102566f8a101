"""From per-sample entries to one number.

    MeanOf            mean(v)
    RootMeanSquare    sqrt(mean(v^2))
    SignalToNoise     10*log10(sum x^2 / sum e^2), capped at 200
    Percentile        p-th percentile of v, linear between order statistics
    MacroF1           mean over classes of 2*tp / (2*tp + fp + fn)
    MeanIou           mean over classes of tp / (tp + fp + fn)
    OfRecords         what the user's own function makes of the records
    WholeLoop         what the user's own loop over the model gave

The exact value uses ``math.fsum`` (or whole counts), so it depends neither on the split into ranges nor on the
order of samples. With ``exact=False`` ordinary float64 sums are used, for the many resamples of a bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from search.arrays import Array

Direction = Literal["higher", "lower"]
Entries = Array
Floats = npt.NDArray[np.float64]

SQNR_CAP_DB = 200.0


@dataclass(frozen=True)
class MeanOf:
    """Mean over samples of entries ``[n]``.

    Attributes:
        best: Best entry a sample can have (1 for right-or-wrong and cosine, 0 for errors), or None.
    """

    best: float | None

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return the mean of finite entries."""
        if entries.dtype == np.bool_:
            return int(np.count_nonzero(entries)) / len(entries)
        return _mean(entries, exact=exact)


@dataclass(frozen=True)
class RootMeanSquare:
    """Root of the mean square over samples of equal size, from entries ``[n]`` = root mean square of each."""

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return the root mean square of finite entries."""
        return math.sqrt(_mean(squares(entries), exact=exact))


@dataclass(frozen=True)
class SignalToNoise:
    """Signal-to-noise ratio in dB of all samples together, from entries ``[n, 2]`` = norms of signal and error."""

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return the ratio in dB of finite entries; 200 where there is no error, None where there is no signal."""
        power = squares(entries)
        signal, noise = _mean(power[:, 0], exact=exact), _mean(power[:, 1], exact=exact)
        if noise == 0:
            return SQNR_CAP_DB
        if signal == 0:
            return None
        return min(SQNR_CAP_DB, 10.0 * (math.log10(signal) - math.log10(noise)))


@dataclass(frozen=True)
class Percentile:
    """The p-th percentile over samples of entries ``[n]``, linear between order statistics; 100 is the maximum."""

    p: float

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return the percentile of finite entries."""
        return float(np.percentile(entries.astype(np.float64), self.p))


@dataclass(frozen=True)
class MacroF1:
    """Mean F1 over the classes that occur among labels or predictions, from entries ``[n, 2]`` = prediction, label.

    A prediction of -1 (no class) is wrong for its label and counts for no other class.
    """

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return macro F1."""
        counts = class_counts(entries[:, 0].astype(np.int64), entries[:, 1].astype(np.int64))
        return _mean_share(counts, hit_weight=2.0)


@dataclass(frozen=True)
class MeanIou:
    """Mean intersection over union of the classes among labels or predictions, from sums ``[3, classes]``."""

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return the mean intersection over union, None where no class occurs."""
        return _mean_share(entries, hit_weight=1.0)


@dataclass(frozen=True)
class OfRecords:
    """What a function of the user's own makes of records, objects ``[n]``; it may fail on a part of them."""

    function: Callable[[Sequence[Any]], float]

    def attempt(self, entries: Entries) -> float | str:
        """Return the value, or why there is none."""
        try:
            value = float(self.function(entries.tolist()))
        except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
            return f"value() of {len(entries)} records raised {type(error).__name__}: {error}"
        return value if math.isfinite(value) else f"value() of {len(entries)} records gave {value}"

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return the value, None where the function gives none."""
        found = self.attempt(entries)
        return None if isinstance(found, str) else found


@dataclass(frozen=True)
class WholeLoop:
    """What a loop of the user's own gave, from sums ``[1, 2]`` = value, how often it ran: once over all samples."""

    def value(self, entries: Entries, *, exact: bool = True) -> float | None:
        """Return the value, None until the loop ran."""
        return float(entries[0, 0]) if entries[0, 1] == 1 else None


Reduction: TypeAlias = MeanOf | RootMeanSquare | SignalToNoise | Percentile | MacroF1 | MeanIou | OfRecords | WholeLoop


def squares(entries: Entries) -> Floats:
    """Return the squares in float64, exact for float32 entries."""
    wide = entries.astype(np.float64)
    return wide * wide


def class_counts(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> Floats:
    """Count hits, false positives and false negatives per class.

    Args:
        predicted: Class indices ``[n]``; negative = no class.
        labels: Class indices ``[n]``, none negative.

    Returns:
        float64 ``[3, classes]``: true positives, false positives, false negatives; as many classes as occur.
    """
    named = predicted[predicted >= 0]
    n_classes = int(max(named.max(initial=-1), labels.max(initial=-1))) + 1
    hits = np.bincount(labels[predicted == labels], minlength=n_classes)
    said = np.bincount(named, minlength=n_classes)
    there = np.bincount(labels, minlength=n_classes)
    return np.stack([hits, said - hits, there - hits]).astype(np.float64)


def _mean(numbers: Entries, *, exact: bool) -> float:
    total = math.fsum(numbers.tolist()) if exact else float(np.sum(numbers, dtype=np.float64))
    return total / len(numbers)


def _mean_share(counts: Floats, *, hit_weight: float) -> float | None:
    hits = counts[0] * hit_weight
    union = hits + counts[1] + counts[2]
    occurs = union > 0
    if not occurs.any():
        return None
    return math.fsum((hits[occurs] / union[occurs]).tolist()) / int(np.count_nonzero(occurs))
