"""The metrics of the report: float, required, chosen with its interval, exported, difference, shortfall.

``shortfall = required - value`` for scores and ``value - required`` for errors, of the worse of chosen and exported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text

SMALLEST = 1e-12
"""Width of an interval that has none."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Positions of one metric on a line from worst (0) to best (100); None where a value does not exist."""

    required: float | None
    float_: float | None
    chosen: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric as printed; ``state`` is ``met | missed | open``."""

    id: str
    direction: str
    evaluator: str
    float_: str
    required: str
    chosen: str
    interval: str
    n_samples: str
    qdq: str
    between: str
    unoptimized: str
    confirmed: str
    difference: str
    difference_interval: str
    state: str
    shortfall: str
    reason: str
    strip: Strip | None


def shortfall(metric: Mapping[str, Any]) -> float | None:
    """Return how far the worse of ``chosen`` and ``qdq`` misses ``required``; negative if met, None if unknown."""
    required = text.finite(metric.get("required"))
    values = [value for key in ("chosen", "qdq") if (value := text.finite(metric.get(key))) is not None]
    if required is None or not values:
        return None
    sign = -1.0 if metric.get("direction") == "lower" else 1.0
    return max(sign * (required - value) for value in values)


def tightest_first(metrics: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the metrics by their room above what is required, in units of their intervals; unknown ones last."""
    return sorted(metrics, key=_room)


def _room(metric: Mapping[str, Any]) -> float:
    missing = shortfall(metric)
    ends = [end for bound in metric.get("interval") or () if (end := text.finite(bound)) is not None]
    width = max(ends) - min(ends) if len(ends) == 2 else abs(text.finite(metric.get("required")) or 0.0)
    return math.inf if missing is None else -missing / max(width, SMALLEST)


def metric_rows(metrics: Sequence[Mapping[str, Any]]) -> tuple[MetricRow, ...]:
    """Return the printed rows of the metrics."""
    return tuple(_metric_row(metric) for metric in metrics)


def _metric_row(metric: Mapping[str, Any]) -> MetricRow:
    missing = shortfall(metric)
    state = "open" if missing is None else "missed" if missing > 0 else "met"
    difference = metric.get("difference") or {}
    values = {key: text.finite(metric.get(key)) for key in _VALUES}
    return MetricRow(
        id=text.clean(metric.get("id")),
        direction="lower is better" if metric.get("direction") == "lower" else "higher is better",
        evaluator=_EVALUATORS.get(str(metric.get("evaluator")), ""),
        float_=text.figure(values["float"]),
        required=("≤ " if metric.get("direction") == "lower" else "≥ ") + text.figure(values["required"]),
        chosen=text.figure(values["chosen"]),
        interval=text.interval(metric.get("interval")),
        n_samples=text.count(metric.get("n_samples")),
        qdq=text.figure(values["qdq"]),
        between=_between(metric, values),
        unoptimized="" if values["qdq_unoptimized"] is None else text.figure(values["qdq_unoptimized"]),
        confirmed="" if values["confirmed"] is None else text.figure(values["confirmed"]),
        difference=text.difference(text.finite(difference.get("value"))),
        difference_interval=text.interval(difference.get("interval"), signed=True),
        state=state,
        shortfall=text.gap(missing) if missing is not None and missing > 0 else "",
        reason=text.sentence(metric.get("reason") or ""),
        strip=_strip(metric),
    )


_EVALUATORS = {"integer": "in integers", "fake_quant": "as Q/DQ"}
_VALUES = ("float", "required", "chosen", "qdq", "qdq_unoptimized", "confirmed")


def _between(metric: Mapping[str, Any], values: Mapping[str, float | None]) -> str:
    """How far the Q/DQ model is from the integers; empty where both are the same evaluator."""
    chosen, qdq = values["chosen"], values["qdq"]
    if metric.get("evaluator") != "integer" or chosen is None or qdq is None:
        return ""
    return text.difference(qdq - chosen)


def _strip(metric: Mapping[str, Any]) -> Strip | None:
    low, high = (text.finite(bound) for bound in metric.get("interval") or (None, None))
    float_, required, chosen = (text.finite(metric.get(key)) for key in ("float", "required", "chosen"))
    known = [value for value in (low, high, float_, required, chosen) if value is not None]
    if chosen is None or len(known) < 2 or min(known) == max(known):
        return None
    start, stop = min(known), max(known)
    if metric.get("direction") == "lower":
        start, stop = stop, start

    def place(value: float | None) -> float | None:
        return None if value is None else round(6 + 88 * (value - start) / (stop - start), 2)

    ends = sorted(end for end in (place(low), place(high)) if end is not None)
    return Strip(
        required=place(required),
        float_=place(float_),
        chosen=place(chosen),
        low=ends[0] if len(ends) == 2 else None,
        high=ends[1] if len(ends) == 2 else None,
    )
