"""Detections of one image matched to its boxes, as COCO does it, and average precision from the matches of any images.

    coco_map     mean over classes and over IoU 0.50, 0.55 ... 0.95 of the average precision
    coco_map50   mean over classes of the average precision at IoU 0.50

Labels are one array ``[boxes, 5]`` per sample: class, then x1, y1, x2, y2 in the pixels of the model input. An output
is one of

    [n, detections, 6]          x1, y1, x2, y2, score, class; scores that are not above 0 are padding
    [n, 4 + classes, anchors]   the raw head of YOLOv8: cx, cy, w, h and a score per class

Of a raw head the best class of each anchor counts, at most ``CANDIDATES`` scores above ``LOWEST_SCORE``, and greedy
suppression per class at IoU ``SUPPRESSED`` leaves at most ``KEPT``.

A record is ``[[class, boxes], ...], [[class, score, matched], ...]``: ``matched`` has a bit per IoU threshold. Matching
and averaging are those of the COCO evaluation without crowds, over boxes of any area, ``PER_CLASS`` detections each:
detections by falling score take the free box of largest IoU, the last of equal ones; precision is made monotone and
read at 101 recalls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.arrays import Array

Floats = npt.NDArray[np.float64]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
LOWEST_SCORE, SUPPRESSED, CANDIDATES, KEPT = 0.001, 0.7, 1000, 300
PER_CLASS = 100
_SPACING = float(np.spacing(1))


def matches(outputs: Mapping[str, Array], labels: Mapping[str, Any]) -> list[Any]:
    """Return the record of each image.

    Raises:
        ValueError: If the output is no detections, or labels are no boxes.
    """
    (output,), (label,) = outputs.values(), labels.values()
    return [_matched(found, _boxes(one)) for found, one in zip(detections(output), label, strict=True)]


def coco_map(records: Sequence[Any]) -> float:
    """Return the mean over classes and IoU thresholds; not a number where there is no box."""
    return _mean_precision(records, range(len(THRESHOLDS)))


def coco_map50(records: Sequence[Any]) -> float:
    """Return the mean over classes at IoU 0.50; not a number where there is no box."""
    return _mean_precision(records, range(1))


def detections(output: Array) -> list[Floats]:
    """Return the detections of each image, float64 ``[k, 6]``: x1, y1, x2, y2, score, class.

    Raises:
        ValueError: If the output is of neither form.
    """
    if output.ndim != 3 or (output.shape[2] != 6 and output.shape[1] < 5):
        raise ValueError(
            f"the output has shape {list(output.shape)}; it must be [n, detections, 6] or [n, 4 + classes, anchors]"
        )
    if output.shape[2] == 6:
        return [rows[rows[:, 4] > 0] for rows in output.astype(np.float64)]
    return [_suppressed(head.T) for head in output.astype(np.float64)]


def box_iou(one: Floats, two: Floats) -> Floats:
    """Return the IoU of every pair of boxes x1, y1, x2, y2, ``[len(one), len(two)]``; 0 where both are empty."""
    corner = np.minimum(one[:, None, 2:4], two[None, :, 2:4]) - np.maximum(one[:, None, :2], two[None, :, :2])
    shared = np.prod(np.maximum(corner, 0), axis=2)
    areas = [np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1) for boxes in (one, two)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def _boxes(label: Any) -> Floats:
    boxes = np.asarray(label, np.float64)
    if boxes.size == 0:
        return np.zeros((0, 5))
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(
            f"labels of a sample have shape {list(boxes.shape)}; they must be [boxes, 5]: class, x1, y1, x2, y2"
        )
    return boxes


def _suppressed(anchors: Floats) -> Floats:
    """Detections of a raw head ``[anchors, 4 + classes]``."""
    best = np.argmax(anchors[:, 4:], axis=1)
    score = anchors[np.arange(len(anchors)), 4 + best]
    order = np.argsort(-score, kind="stable")[:CANDIDATES]
    order = order[score[order] > LOWEST_SCORE]
    half = anchors[order, 2:4] / 2
    boxes = np.concatenate([anchors[order, :2] - half, anchors[order, :2] + half], axis=1)
    rows = np.column_stack([boxes, score[order], best[order]])
    kept: list[int] = []
    left = np.arange(len(rows))
    while left.size and len(kept) < KEPT:
        first, rest = left[0], left[1:]
        kept.append(int(first))
        near = box_iou(rows[first : first + 1], rows[rest])[0] > SUPPRESSED
        left = rest[~(near & (rows[rest, 5] == rows[first, 5]))]
    return rows[kept]


def _matched(found: Floats, boxes: Floats) -> list[Any]:
    """The record of one image."""
    counts = [[int(c), int(np.sum(boxes[:, 0] == c))] for c in np.unique(boxes[:, 0])]
    listed: list[list[float]] = []
    for c in np.unique(found[:, 5]):
        own = found[found[:, 5] == c]
        own = own[np.argsort(-own[:, 4], kind="stable")[:PER_CLASS]]
        overlap = box_iou(own, boxes[boxes[:, 0] == c][:, 1:])
        bits = sum(_taken(overlap, limit).astype(np.int64) << bit for bit, limit in enumerate(THRESHOLDS))
        listed += [[int(c), float(s), int(b)] for s, b in zip(own[:, 4], np.broadcast_to(bits, len(own)), strict=True)]
    return [counts, listed]


def _taken(overlap: Floats, limit: float) -> npt.NDArray[np.bool_]:
    """Which detections take a box at one IoU threshold, in their order."""
    free = np.ones(overlap.shape[1], np.bool_)
    taken = np.zeros(len(overlap), np.bool_)
    for row, values in enumerate(overlap):
        usable = np.flatnonzero(free & (values >= min(limit, 1 - 1e-10)))
        if usable.size:
            best = usable[len(usable) - 1 - int(np.argmax(values[usable][::-1]))]
            free[best], taken[row] = False, True
    return taken


def _mean_precision(records: Sequence[Any], bits: range) -> float:
    there: dict[int, int] = {}
    for counts, _ in records:
        for c, n in counts:
            there[c] = there.get(c, 0) + n
    listed = np.array([one for _, found in records for one in found], np.float64).reshape(-1, 3)
    found = [_average_precision(listed[listed[:, 0] == c], n, bit) for c, n in there.items() for bit in bits]
    return float(np.mean(found)) if found else float("nan")


def _average_precision(listed: Floats, n_boxes: int, bit: int) -> float:
    """Mean of the precision at 101 recalls, of one class at one threshold."""
    order = np.argsort(-listed[:, 1], kind="stable")
    is_hit = (listed[order, 2].astype(np.int64) >> bit) & 1
    hits, misses = np.cumsum(is_hit), np.cumsum(1 - is_hit)
    precision = np.maximum.accumulate((hits / (hits + misses + _SPACING))[::-1])[::-1]
    places = np.searchsorted(hits / n_boxes, RECALLS, side="left")
    return float(np.append(precision, 0.0)[np.minimum(places, len(precision))].mean())
