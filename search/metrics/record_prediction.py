"""What records of a part of the samples say about the value of all, next to the float model's records.

    D      value(candidate, seen) - value(float, seen)          the same samples on both sides
    D_b    the same of samples drawn again from those seen      b = 1 ... RESAMPLES, from a seed
    value  value(float, all) + D
    sd     sqrt(spread(D_b) * (1 - m/n)),                       spread = mean (D_b - D)^2, which holds their bias too

with ``m`` of ``n`` samples seen, a draw without replacement. Student's t with ``min(m, RESAMPLES) - 1`` degrees of
freedom. Approximate: ``value`` may be any function of the records. Nothing is predicted where it is undefined for some
resample, or where they are all equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from search.metrics.goal_check import meets
from search.metrics.metric import Metric
from search.metrics.part import Part
from search.metrics.reductions import Direction

RESAMPLES = 100
_SEED = 0


@dataclass(frozen=True)
class RecordPrediction:
    """The value of all samples.

    Attributes:
        value: Expected.
        sd: Its standard deviation.
        freedom: Degrees of freedom.
    """

    value: float
    sd: float
    freedom: int

    def chance_of(self, required: float, direction: Direction) -> float:
        """Return the chance of samples this bad if the full set just met ``required``; 1 where they are not bad."""
        gap = required - self.value if direction == "higher" else self.value - required
        if gap <= 0 or self.sd <= 0:
            return 1.0
        return float(scipy.special.stdtr(self.freedom, -gap / self.sd))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval of the value."""
        reach = float(scipy.special.stdtrit(self.freedom, (1 + confidence) / 2)) * self.sd
        return self.value - reach, self.value + reach


def record_prediction(
    metric: Metric, seen: Part, reference: Part, *, required: float | None = None
) -> RecordPrediction | None:
    """Predict the value of the full set.

    Args:
        metric: One of records.
        seen: The candidate's records of the first samples.
        reference: The float model's records of all samples, in the same order.
        required: Ends early, without resamples, where what was seen reaches it: nobody would reject that.
    """
    assert seen.values is not None
    assert reference.values is not None
    float_seen = reference.values[: seen.n]
    whole = metric.value([reference])
    own, other = _value(metric, seen.values), _value(metric, float_seen)
    if whole is None or not (math.isfinite(own) and math.isfinite(other)):
        return None
    difference = own - other
    freedom = min(seen.n, RESAMPLES) - 1
    if required is not None and meets(whole + difference, required, metric.direction):
        return RecordPrediction(whole + difference, 0.0, freedom)
    rng = np.random.default_rng(_SEED)
    drawn = [rng.integers(seen.n, size=seen.n) for _ in range(RESAMPLES)]
    again = np.array([_value(metric, seen.values[rows]) - _value(metric, float_seen[rows]) for rows in drawn])
    if not np.isfinite(again).all():
        return None
    spread = float(np.mean((again - difference) ** 2))
    share_left = 1.0 - seen.n / reference.n
    return RecordPrediction(whole + difference, math.sqrt(spread * share_left), freedom)


def _value(metric: Metric, records: npt.NDArray[np.object_]) -> float:
    value = metric.reduction.value(records, exact=False)
    return math.nan if value is None else value
