"""Class counts per pixel for miou: ``iou = tp / (tp + fp + fn)`` per class, averaged over the classes that occur.

Outputs are scores ``[n, classes, ...]`` (argmax over axis 1, lowest index wins, a pixel with NaN has no class) or
class maps ``[n, ...]`` of an integer type. Pixels whose label is negative or 255 are ignored; with more than 255
classes of scores, 255 is a class like any other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import InvalidDataError
from search.metrics.reductions import class_counts

IGNORED_LABEL = 255


def pixel_counts(outputs: Array, reference: Array, labels: Array | None) -> npt.NDArray[np.float64]:
    """Return true positives, false positives and false negatives per class, float64 ``[3, classes]``."""
    assert labels is not None
    if has_scores(outputs.shape, labels.shape):
        predicted, n_classes = _argmax(outputs), outputs.shape[1]
    else:
        if outputs.dtype.kind not in "iu":
            raise InvalidDataError(f"miou needs a class map of an integer type, got {outputs.dtype}.")
        predicted, n_classes = outputs.astype(np.int64), None
    wide = labels.astype(np.int64)
    counted = counted_pixels(wide, n_classes)
    return class_counts(predicted[counted], wide[counted])


def has_scores(output_shape: tuple[int, ...], label_shape: tuple[int, ...]) -> bool:
    """Return whether outputs are scores per class (True) or a class map (False), judged by the shapes.

    Raises:
        InvalidDataError: If the outputs are neither for labels of that shape.
    """
    if len(output_shape) == len(label_shape) + 1 and output_shape[2:] == label_shape[1:]:
        return True
    if output_shape[1:] == label_shape[1:]:
        return False
    raise InvalidDataError(
        f"miou got outputs of shape {output_shape} and labels of shape {label_shape}; labels of shape [n, h, w] need "
        "outputs of shape [n, classes, h, w] or [n, h, w] of the same size."
    )


def counted_pixels(labels: npt.NDArray[np.int64], n_classes: int | None) -> npt.NDArray[np.bool_]:
    """Return where a label is a class and not one of the ignore labels; same shape as ``labels``."""
    counted: npt.NDArray[np.bool_] = labels >= 0
    if n_classes is None or n_classes <= IGNORED_LABEL:
        counted &= labels != IGNORED_LABEL
    return counted


def _argmax(scores: Array) -> npt.NDArray[np.int64]:
    best: npt.NDArray[np.int64] = np.argmax(scores, axis=1).astype(np.int64, copy=False)
    if scores.dtype.kind == "f":
        picked = np.take_along_axis(scores, best[:, None], axis=1)[:, 0]
        best = np.where(np.isnan(picked), -1, best)
    return best
