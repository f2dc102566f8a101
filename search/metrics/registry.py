"""The metrics a job can name, one line each.

Score metrics (higher is better): top1, top5, miou, f1, cosine, sqnr_db. Error metrics (lower): mae, rmse, l1, atol.
cosine, sqnr_db, l1 and atol compare with the float outputs. Metrics of records (auc, eer, f1_binary, wer, cer, abs_rel,
delta1, coco_map, coco_map50) are made like the user's own.
"""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import InvalidDataError, UsageError
from search.metrics import classification, depth, detection_scores, detections, distances, segmentation, transcripts
from search.metrics.metric import Metric
from search.metrics.recorded import recorded_metric
from search.metrics.reductions import MacroF1, MeanIou, MeanOf, Percentile, RootMeanSquare, SignalToNoise
from search.metrics.user_metric import PerBatch, UserMetric, Value
from search.spec.metric_names import METRICS as NAMES

Outputs = Array
Labels = Array | None


def make_metric(name: str, percentile: float | None = None) -> Metric:
    """Return the metric called ``name``.

    Args:
        name: One of ``METRIC_NAMES``.
        percentile: For atol only, in (0, 100]; None means 100, the maximum.

    Raises:
        UsageError: If there is no such metric, or the percentile does not belong to it.
    """
    if name not in _METRICS and name != "atol":
        close = difflib.get_close_matches(name, METRIC_NAMES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"Unknown metric {name!r}.{hint} Metrics: {', '.join(METRIC_NAMES)}.")
    if name == "atol":
        return _atol(100.0 if percentile is None else percentile)
    if percentile is not None:
        raise UsageError(f"percentile belongs to atol, not to {name}; leave it out.")
    return _METRICS[name]


def _atol(percentile: float) -> Metric:
    if not 0 < percentile <= 100:
        raise UsageError(f"percentile of atol must be above 0 and at most 100, got {percentile}.")
    return Metric(
        name="atol",
        direction="lower",
        needs_labels=False,
        is_fidelity=True,
        entries=_largest_error,
        reduction=Percentile(percentile),
    )


def _cosine(outputs: Outputs, reference: Outputs, labels: Labels) -> npt.NDArray[np.float32]:
    return distances.cosine(outputs, reference)


def _norms(outputs: Outputs, reference: Outputs, labels: Labels) -> npt.NDArray[np.float32]:
    return distances.norms(outputs, reference)


def _mean_error(outputs: Outputs, reference: Outputs, labels: Labels) -> npt.NDArray[np.float32]:
    return distances.mean_error(outputs, reference)


def _largest_error(outputs: Outputs, reference: Outputs, labels: Labels) -> npt.NDArray[np.float32]:
    return distances.largest_error(outputs, reference)


def _mean_label_error(outputs: Outputs, reference: Outputs, labels: Labels) -> npt.NDArray[np.float32]:
    return distances.mean_error(outputs, _given(labels))


def _root_label_error(outputs: Outputs, reference: Outputs, labels: Labels) -> npt.NDArray[np.float32]:
    return distances.root_mean_square(outputs, _given(labels))


def _given(labels: Labels) -> Array:
    if labels is None:
        raise InvalidDataError("An error metric against labels needs labels.")
    return labels


_SCORE: dict[str, Any] = {"direction": "higher", "needs_labels": True, "is_fidelity": False}
_ERROR: dict[str, Any] = {"direction": "lower", "needs_labels": True, "is_fidelity": False}
_FIDELITY: dict[str, Any] = {"needs_labels": False, "is_fidelity": True}
_RIGHT = MeanOf(best=1.0)

_METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="top1", is_rate=True, entries=classification.top1, reduction=_RIGHT, **_SCORE),
        Metric(name="top5", is_rate=True, entries=classification.top5, reduction=_RIGHT, **_SCORE),
        Metric(name="miou", entries=segmentation.pixel_counts, reduction=MeanIou(), **_SCORE),
        Metric(name="f1", entries=classification.prediction_and_label, reduction=MacroF1(), **_SCORE),
        Metric(name="cosine", direction="higher", entries=_cosine, reduction=MeanOf(best=1.0), **_FIDELITY),
        Metric(name="sqnr_db", direction="higher", entries=_norms, reduction=SignalToNoise(), **_FIDELITY),
        Metric(name="mae", entries=_mean_label_error, reduction=MeanOf(best=0.0), **_ERROR),
        Metric(name="rmse", entries=_root_label_error, reduction=RootMeanSquare(), **_ERROR),
        Metric(name="l1", direction="lower", entries=_mean_error, reduction=MeanOf(best=0.0), **_FIDELITY),
    )
}


def _of_records(name: str, per_batch: PerBatch, value: Value) -> Metric:
    direction = NAMES[name].direction
    return recorded_metric(name, UserMetric(per_batch=per_batch, value=value), direction, needs_labels=True)


def _of_numbers(name: str, per_batch: PerBatch, best: float) -> Metric:
    direction = NAMES[name].direction
    return recorded_metric(name, UserMetric(per_batch=per_batch, best=best), direction, needs_labels=True)


_METRICS |= {
    metric.name: metric
    for metric in (
        _of_records("auc", detection_scores.score_and_label, detection_scores.auc),
        _of_records("eer", detection_scores.score_and_label, detection_scores.eer),
        _of_records("f1_binary", detection_scores.score_and_label, detection_scores.f1_binary),
        _of_records("wer", transcripts.edits_and_length, transcripts.error_rate),
        _of_records("cer", transcripts.edits_and_length, transcripts.error_rate),
        _of_records("coco_map", detections.matches, detections.coco_map),
        _of_records("coco_map50", detections.matches, detections.coco_map50),
        _of_numbers("abs_rel", depth.abs_rel, 0.0),
        _of_numbers("delta1", depth.delta1, 1.0),
    )
}
METRIC_NAMES = (*_METRICS, "atol")
