"""What a part of the samples says about all, next to an assignment that ran on all of them.

Metrics that are a mean over samples have a *badness* per sample, ``u_i >= 0`` (error power, distance from the best
entry); the goal is met where ``sum u_i <= allowed``. Samples are unequal, but much in the same way every time: what
is hard for one is hard for the next. So the seen samples tell by how much an assignment is better or worse than the
reference ``r``, and the rest is taken from there:

    u_i   = rho r_i + noise of standard deviation proportional to r_i
    rho   = sum of seen u_i / sum of seen r_i
    total = sum of seen u_i + rho * sum of r_i not seen

    var(total) = v * (sum of r_i**2 not seen + (sum of r_i not seen)**2 * sum of seen r_i**2 / (sum of seen r_i)**2)
    v          = sum of seen (u_i - rho r_i)**2 / sum of seen r_i**2 * m / (m - 1)

Student's t with ``m - 1`` degrees of freedom; the standard deviation is widened by a factor, since tails are heavier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from search.arrays import Array
from search.metrics.excess import badness, excess
from search.metrics.metric import Metric
from search.metrics.part import Part
from search.metrics.reductions import SQNR_CAP_DB, MeanOf, SignalToNoise, squares
from search.strategies.auto.tuning import DEFAULT, GoalTuning


@dataclass(frozen=True)
class Prediction:
    """The badness of the full set.

    Attributes:
        total: Expected.
        sd: Its standard deviation.
        allowed: Largest total that meets the goal.
        freedom: Degrees of freedom.
        value: The metric at ``total``.
        worse: The metric at ``total + sd``.
    """

    total: float
    sd: float
    allowed: float
    freedom: int
    value: float
    worse: float

    @property
    def chance(self) -> float:
        """Chance that the full set meets the goal."""
        if self.sd == 0.0:
            return float(self.total <= self.allowed)
        return float(scipy.special.stdtr(self.freedom, (self.allowed - self.total) / self.sd))


def predict(
    metric: Metric, required: float, seen: Part, reference: Part, *, tuning: GoalTuning = DEFAULT.goal
) -> Prediction | None:
    """Predict the full set from its first samples.

    Args:
        metric: Any metric.
        required: Value to reach.
        seen: Results on the first ``m`` samples.
        reference: Results of another assignment on all samples, in the same order.
        tuning: Fewest samples, and the factor on the spread.

    Returns:
        None where the metric is no mean of such a badness, or where too little was seen.
    """
    if (
        metric.is_rate
        or seen.values is None
        or reference.values is None
        or not tuning.reference_samples <= seen.n < reference.n
    ):
        return None
    own, other = badness(metric, seen.values), badness(metric, reference.values)
    beyond = excess(metric, reference.values, required)
    if own is None or other is None or beyond is None:
        return None
    known, rest = other[: seen.n], other[seen.n :]
    if not (np.isfinite(own).all() and np.isfinite(other).all()) or known.sum() <= 0.0:
        return None
    rho = float(own.sum() / known.sum())
    power = float(np.sum(known**2))
    spread = float(np.sum((own - rho * known) ** 2)) / power * seen.n / (seen.n - 1)
    variance = spread * (float(np.sum(rest**2)) + float(rest.sum()) ** 2 * power / float(known.sum()) ** 2)
    total, sd = float(own.sum()) + rho * float(rest.sum()), tuning.reference_wider * math.sqrt(variance)
    return Prediction(
        total=total,
        sd=sd,
        allowed=float(np.sum(other - beyond)),
        freedom=seen.n - 1,
        value=_value(metric, total, reference),
        worse=_value(metric, total + sd, reference),
    )


def _value(metric: Metric, total: float, reference: Part) -> float:
    """The metric of a full set with this badness."""
    match metric.reduction:
        case MeanOf(best=float(best)):
            mean = total / reference.n
            return best - mean if metric.direction == "higher" else best + mean
        case SignalToNoise():
            signal = _signal(reference.values)
            if total <= 0.0 or signal <= 0.0:
                return SQNR_CAP_DB
            return min(SQNR_CAP_DB, 10.0 * math.log10(signal / total))
        case _:
            return math.sqrt(max(total, 0.0) / reference.n)


def _signal(values: Array | None) -> float:
    return 0.0 if values is None else float(squares(values)[:, 0].sum())
