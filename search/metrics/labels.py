"""Check once that labels fit a metric and an output, so that measuring a range need not.

top1, top5, f1   class indices [n] or [n, 1], integer type, 0 <= label < classes
miou             class indices [n, h, w], integer type; negative or 255 = ignored
mae, rmse        real numbers of the output's shape (axes of length 1 aside), finite
"""

from __future__ import annotations

import math

import numpy as np

from search.arrays import Array
from search.errors import InvalidDataError
from search.metrics.metric import Metric
from search.metrics.rows import squeezed
from search.metrics.segmentation import counted_pixels, has_scores

_MAX_CLASSES = 1 << 24


def check_labels(
    metric: Metric, labels: Array | None, n: int, output_shape: tuple[int, ...], *, key: str = "labels"
) -> None:
    """Check the labels of a whole data set.

    Args:
        metric: What reads them.
        labels: Samples on axis 0, or None.
        n: Number of samples of the data set.
        output_shape: Shape of the output; axis 0 is the batch and may have any length.
        key: Name of the labels in the data, for the message.

    Raises:
        InvalidDataError: If labels are missing, or their count, shape, type or range does not fit.
    """
    if not metric.needs_labels:
        return
    if labels is None:
        raise InvalidDataError(f"Metric {metric.name!r} needs labels, but the data has no array {key!r}.")
    if labels.ndim == 0 or len(labels) != n:
        found = "one scalar" if labels.ndim == 0 else f"{len(labels)} entries"
        raise InvalidDataError(f"Labels {key!r} have {found}, but the data has {n} samples; they need one per sample.")
    if labels.dtype == np.object_ and metric.user is None:
        raise InvalidDataError(
            f"Labels {key!r} differ in size from sample to sample; {metric.name} needs them all of one shape. A metric "
            "of your own may read such labels."
        )
    shape = (n, *output_shape[1:])
    if metric.name in ("top1", "top5", "f1"):
        _check_classes(metric.name, labels, shape, key)
    elif metric.name == "miou":
        _check_class_map(labels, shape, key)
    elif metric.name in ("mae", "rmse"):
        _check_numbers(metric.name, labels, shape, key)


def _check_classes(metric: str, labels: Array, shape: tuple[int, ...], key: str) -> None:
    if labels.shape not in ((shape[0],), (shape[0], 1)):
        way_out = " Use argmax to turn one-hot rows into indices." if labels.ndim == 2 else ""
        raise InvalidDataError(
            f"Labels {key!r} have shape {labels.shape}; {metric} needs one class index per sample.{way_out}"
        )
    _check_integer(metric, labels, key)
    width = math.prod(shape[1:])
    if width > 1 and (len(shape) < 2 or shape[1] != width):
        raise InvalidDataError(f"{metric} needs an output of shape [n, classes], but the output has shape {shape}.")
    if metric == "top5" and width < 5:
        raise InvalidDataError(f"top5 needs an output of at least 5 classes, but the output has {width}; use top1.")
    _check_range(labels, 0, width if width > 1 else _MAX_CLASSES, key)


def _check_class_map(labels: Array, shape: tuple[int, ...], key: str) -> None:
    if labels.ndim < 2:
        raise InvalidDataError(f"Labels {key!r} have shape {labels.shape}; miou needs class maps [n, h, w].")
    _check_integer("miou", labels, key)
    n_classes = shape[1] if has_scores(shape, labels.shape) else None
    wide = labels.astype(np.int64)
    counted = wide[counted_pixels(wide, n_classes)]
    _check_range(counted, 0, n_classes or _MAX_CLASSES, key)


def _check_numbers(metric: str, labels: Array, shape: tuple[int, ...], key: str) -> None:
    if squeezed(labels.shape) != squeezed(shape):
        raise InvalidDataError(
            f"Labels {key!r} have shape {labels.shape}, but {metric} compares them with an output of shape {shape}; "
            "they must agree but for axes of length 1."
        )
    if labels.dtype.kind not in "biuf":
        raise InvalidDataError(f"Labels {key!r} have type {labels.dtype}; {metric} needs real numbers.")
    finite = np.isfinite(labels)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InvalidDataError(f"Labels {key!r} hold {labels[first]} at {first}; {metric} needs finite numbers.")


def _check_integer(metric: str, labels: Array, key: str) -> None:
    if labels.dtype.kind not in "iu":
        raise InvalidDataError(
            f"Labels {key!r} have type {labels.dtype}; {metric} needs class indices of an integer type, such as int64."
        )


def _check_range(labels: Array, low: int, end: int, key: str) -> None:
    if labels.size == 0:
        return
    smallest, largest = int(labels.min()), int(labels.max())
    if smallest < low or largest >= end:
        wrong = smallest if smallest < low else largest
        where = int(np.flatnonzero(labels.reshape(-1) == wrong)[0])
        raise InvalidDataError(
            f"Labels {key!r} hold class {wrong} (entry {where}), but the output's classes are {low} to {end - 1}."
        )
