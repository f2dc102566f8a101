"""Margins of a top-k classifier: how much noise a sample bears before it changes sides.

    margin = (score of the label - k-th highest of the other scores) / (norm of the scores * sqrt(2 / classes))

Positive where the sample is right. Noise of relative power ``r`` (noise power over signal power of the output), spread
evenly and independently over the classes, moves the difference of two scores by ``norm * sqrt(2 * r / classes)``
(standard deviation), so it turns the sample over with probability ``Phi(-|margin| / sqrt(r))``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.metrics.classification import class_scores

PLACES = {"top1": 1, "top5": 5}
"""Metrics that have margins, and their ``k``."""


def margin_order(found: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.int64]:
    """Return the positions of the samples by their smallest margin, of any goal and either sign, smallest first.

    What noise turns over stands at the front; equal margins keep their order.

    Args:
        found: Goal to margins ``[n]``, at least one.
    """
    nearest = np.min(np.abs(np.stack(list(found.values()))), axis=0)
    return np.argsort(nearest, kind="stable").astype(np.int64)


def margins(outputs: Array, labels: Array, *, places: int) -> npt.NDArray[np.float32] | None:
    """Return the margin of each sample, float32 ``[n]``; None where the outputs are no scores of enough classes.

    Args:
        outputs: Class scores ``[n, classes]``, axes of length 1 may follow.
        labels: Class indices ``[n]``.
        places: ``k``.
    """
    scores = class_scores(outputs)
    if scores is None or scores.shape[1] <= places:
        return None
    scores = scores.astype(np.float64)
    rows = np.arange(len(scores))
    label = labels.reshape(-1).astype(np.int64)
    own = scores[rows, label]
    scores_of_others = scores.copy()
    scores_of_others[rows, label] = -np.inf
    rival = -np.partition(-scores_of_others, places - 1, axis=1)[:, places - 1]
    unit = np.linalg.norm(scores, axis=1) * np.sqrt(2.0 / scores.shape[1])
    with np.errstate(all="ignore"):
        found = np.where(unit > 0, (own - rival) / unit, 0.0)
    return np.nan_to_num(found, nan=0.0, posinf=1e6, neginf=-1e6).astype(np.float32)
