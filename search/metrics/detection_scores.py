"""Metrics of a score per sample against 0 or 1: one record ``[score, label]`` per sample.

    auc         area under the ROC curve: chance that a positive scores above a negative, ties count half
    eer         equal error rate: where the ROC curve has as many false alarms as misses, linear between its points
    f1_binary   2 tp / (2 tp + fp + fn) of the samples that score above 0.5

A score is an output ``[n]`` or ``[n, 1]``; of two classes ``[n, 2]`` it is the share of the second, softmax of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from search.arrays import Array

Floats = npt.NDArray[np.float64]
THRESHOLD = 0.5


def score_and_label(outputs: Mapping[str, Array], labels: Mapping[str, Any]) -> Floats:
    """Return score and label of each sample, float64 ``[n, 2]``.

    Raises:
        ValueError: If the output is no score per sample, or a label is neither 0 nor 1.
    """
    (output,), (label,) = outputs.values(), labels.values()
    n = len(output)
    flat = output.reshape(n, -1).astype(np.float64)
    if flat.shape[1] not in (1, 2):
        raise ValueError(f"the output has shape {list(output.shape)}; it must be [n], [n, 1], or [n, 2] of two classes")
    truth = np.asarray(label).reshape(n, -1)
    if truth.shape[1] != 1 or not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 or 1, one per sample")
    score = flat[:, 0] if flat.shape[1] == 1 else scipy.special.expit(flat[:, 1] - flat[:, 0])
    return np.stack([score, truth[:, 0]], axis=1)


def auc(records: Sequence[Any]) -> float:
    """Return the area under the ROC curve; not a number where one of the two labels is missing."""
    score, is_positive = _split(records)
    n, others = int(is_positive.sum()), int((~is_positive).sum())
    if not n or not others:
        return float("nan")
    ranks = scipy.stats.rankdata(score)
    return float((ranks[is_positive].sum() - n * (n + 1) / 2) / (n * others))


def eer(records: Sequence[Any]) -> float:
    """Return the equal error rate; not a number where one of the two labels is missing."""
    score, is_positive = _split(records)
    if is_positive.all() or not is_positive.any():
        return float("nan")
    false, found = _roc(score, is_positive)
    gap = false - (1 - found)  # from -1, nothing accepted, to 1
    after = int(np.argmax(gap >= 0))
    if gap[after] == 0:
        return float(false[after])
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(false[after - 1] + share * (false[after] - false[after - 1]))


def f1_binary(records: Sequence[Any]) -> float:
    """Return F1 of the positives; 1 where there are none and none is said."""
    score, is_positive = _split(records)
    said = score > THRESHOLD
    total = int(said.sum()) + int(is_positive.sum())
    return 2 * int((said & is_positive).sum()) / total if total else 1.0


def _split(records: Sequence[Any]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    score, label = np.asarray(records, np.float64).T
    return score, label > 0


def _roc(score: Floats, is_positive: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Rates of false alarms and of positives found, at every threshold from above all scores to below them."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found, false = (np.append(0, np.cumsum(one[order])[ends]) for one in (is_positive, ~is_positive))
    return false / false[-1], found / found[-1]
