"""Top-k and F1 of class scores ``[n, classes]`` or of class indices ``[n]``.

Ties: of equal scores the lowest index wins, as in argmax. A sample with a NaN score is wrong. Scores may carry
trailing axes of length 1 (``[n, classes, 1, 1]``). One entry per sample (``[n]`` or ``[n, 1]``) is taken as the
class index itself and must be of an integer type: a single score has no argmax.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import InvalidDataError


def top1(outputs: Array, reference: Array, labels: Array | None) -> npt.NDArray[np.bool_]:
    """Return whether the highest score is at the label, bool ``[n]``."""
    assert labels is not None
    right: npt.NDArray[np.bool_] = predicted_classes(outputs, "top1") == labels.reshape(-1)
    return right


def top5(outputs: Array, reference: Array, labels: Array | None) -> npt.NDArray[np.bool_]:
    """Return whether the label is among the five highest scores, bool ``[n]``."""
    assert labels is not None
    scores = class_scores(outputs)
    if scores is None:
        raise InvalidDataError(f"top5 needs class scores of shape [n, classes], got {outputs.shape}.")
    label = labels.reshape(-1)
    own = scores[np.arange(len(scores)), label][:, None]
    earlier = np.arange(scores.shape[1]) < label[:, None]
    ahead = np.count_nonzero((scores > own) | ((scores == own) & earlier), axis=1)
    is_nan = np.isnan(np.max(scores, axis=1)) if scores.dtype.kind == "f" else np.zeros(len(scores), np.bool_)
    right: npt.NDArray[np.bool_] = (ahead < 5) & ~is_nan
    return right


def prediction_and_label(outputs: Array, reference: Array, labels: Array | None) -> npt.NDArray[np.float32]:
    """Return predicted class and label of each sample, float32 ``[n, 2]``; -1 where a score is NaN.

    Class indices are exact in float32 up to 2**24, which ``check_labels`` guarantees.
    """
    assert labels is not None
    return np.stack([predicted_classes(outputs, "f1"), labels.reshape(-1)], axis=1).astype(np.float32)


def predicted_classes(outputs: Array, metric: str) -> npt.NDArray[np.int64]:
    """Return the class of each sample, int64 ``[n]``; -1 where a score is NaN.

    Raises:
        InvalidDataError: If the outputs are neither class scores nor class indices.
    """
    scores = class_scores(outputs)
    if scores is None:
        if outputs.dtype.kind not in "iu":
            raise InvalidDataError(
                f"{metric} got one {outputs.dtype} per sample; it needs class scores of shape [n, classes] "
                "or class indices of an integer type."
            )
        return outputs.reshape(-1).astype(np.int64)
    best: npt.NDArray[np.int64] = np.argmax(scores, axis=1).astype(np.int64, copy=False)
    if scores.dtype.kind == "f":
        picked = scores[np.arange(len(scores)), best]
        best = np.where(np.isnan(picked), -1, best)  # argmax stops at the first NaN
    return best


def class_scores(outputs: Array) -> Array | None:
    """Return the outputs as ``[n, classes]``, or None where each sample has a single entry.

    Raises:
        InvalidDataError: If a sample has more than one axis longer than 1.
    """
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        return outputs
    width = math.prod(outputs.shape[1:])
    if width == 1:
        return None
    if outputs.ndim < 2 or outputs.shape[1] != width:
        raise InvalidDataError(f"A class metric needs outputs of shape [n, classes], got {outputs.shape}.")
    return outputs.reshape(len(outputs), width)
