"""Reject a candidate early: predict its verdict on the full set from the samples seen so far. It never accepts.

The samples come in one seeded random order, so the seen ones are a draw without replacement from the full set, and
the float results of all samples are known. A rejection is *certain* if the goal is missed even when every remaining
sample turns out as well as it can, or *likely* if a candidate that meets the goal would look this bad with
probability ``WRONG_REJECTION / looks`` at most; over all looks of an evaluation a wrong rejection has probability
``WRONG_REJECTION`` at most.

Right-or-wrong metrics: exact. A candidate loses L of the R samples that float has right and gains G of the W that it
has wrong; it meets the goal if ``L - G <= K``. Seen losses and gains are independent hypergeometric draws. G is
unknown: the tail of (seen losses - seen gains) is maximised over all G that the seen gains do not exclude at level
beta, and beta is added (Berger and Boos 1994).

Means of other numbers (mae, rmse, sqnr_db, cosine, l1, custom): Student's t on the *excess* per sample, minus the
excess of float where the metric is paired, with variance ``s^2/m * (1 - m/n)``. The seen samples may have missed a few
that are far better than the rest: a share ``q`` of which none need have been seen, ``(1 - m/n)^(q*n) = level``, is
taken to be as good as can be. Approximate; needs 64 samples.

Records of the user's own: Student's t on the bootstrapped, paired prediction of record_prediction.py. Approximate;
needs 64 samples.

Percentiles: certain rejections only. miou and f1: none (their value is no mean over samples).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from search.metrics.excess import certainly_missed, excess, headroom
from search.metrics.goal_check import meets
from search.metrics.hypergeometric import Urn, difference_tail
from search.metrics.metric import Metric
from search.metrics.part import Part, is_finite
from search.metrics.record_prediction import record_prediction
from search.metrics.reductions import OfRecords

WRONG_REJECTION = 0.01
FIRST_LOOK_BATCHES = 2

_GROWTH = 1.5
_LAST_LOOK_SHARE = 0.8
_BETA_SHARE = 0.05
_GRID = 17
_MIN_SAMPLES = 64


@dataclass(frozen=True)
class EarlyVerdict:
    """What the seen samples say about the full set.

    Attributes:
        reject: Stop: the full set would miss the goal.
        certain: The rejection does not depend on how the remaining samples turn out.
        chance: Bound on the probability of samples this bad if the full set met the goal; None where not computed.
    """

    reject: bool
    certain: bool = False
    chance: float | None = None


_GO_ON = EarlyVerdict(reject=False)
_CERTAIN = EarlyVerdict(reject=True, certain=True, chance=0.0)


def look_schedule(n: int, batch: int) -> tuple[int, ...]:
    """Return after how many samples to look, growing by half from two batches, whole batches each, ``n`` at the end.

    A last look closer than a fifth of the set to its end is left out: it could save too little.
    """
    looks: list[int] = []
    batches = FIRST_LOOK_BATCHES
    while batches * batch <= n * _LAST_LOOK_SHARE:
        looks.append(batches * batch)
        batches = math.ceil(batches * _GROWTH)
    return (*looks, n)


def early_verdict(
    metric: Metric, seen: Part, *, n: int, required: float, looks: int, reference: Part | None = None
) -> EarlyVerdict:
    """Decide whether to stop after the samples of ``seen``.

    Args:
        metric: Any metric; those without per-sample numbers are never rejected early.
        seen: The candidate's results on the first ``m`` samples of the order.
        n: Number of samples of the full set.
        required: Value to reach on the full set.
        looks: How many times one evaluation is looked at before its end.
        reference: The float model's results on all ``n`` samples in the same order; None for fidelity metrics.

    Raises:
        ValueError: If counts do not fit each other.
    """
    if not 0 < seen.n <= n or looks < 1 or (reference is not None and reference.n != n):
        raise ValueError(f"Cannot judge {seen.n} of {n} samples with {looks} looks and this reference.")
    if seen.values is None:
        return _GO_ON
    if not is_finite(seen.values):
        return _CERTAIN  # the value of the full set is undefined, hence not met
    if certainly_missed(metric, seen.values, n=n, required=required):
        return _CERTAIN
    if seen.n == n:
        return _GO_ON
    return _judge_likely(metric, seen, n=n, required=required, alpha=WRONG_REJECTION / looks, reference=reference)


def _judge_likely(
    metric: Metric, seen: Part, *, n: int, required: float, alpha: float, reference: Part | None
) -> EarlyVerdict:
    """Decide what only the likely course of the remaining samples can decide."""
    assert seen.values is not None
    if isinstance(metric.reduction, OfRecords):
        return _judge_records(metric, seen, required=required, alpha=alpha, reference=reference)
    if metric.is_rate:
        right = np.zeros(n, np.bool_) if reference is None else reference.values
        assert right is not None
        return _judge_rate(seen.values, right, required=required, alpha=alpha)
    return _judge_mean(metric, seen.values, n=n, required=required, alpha=alpha, reference=reference)


def fewest_right(required: float, n: int) -> int:
    """Return the smallest number of right samples of ``n`` whose rate meets ``required``; ``n + 1`` if none does."""
    count = min(n + 1, max(0, math.floor(required * n) - 1))
    while count <= n and not meets(count / n, required, "higher"):
        count += 1
    return count


def _judge_rate(
    seen: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_], *, required: float, alpha: float
) -> EarlyVerdict:
    m, n = len(seen), len(right)
    n_right, seen_right = int(np.count_nonzero(right)), int(np.count_nonzero(right[:m]))
    lost = int(np.count_nonzero(right[:m] & ~seen))
    gained = int(np.count_nonzero(seen & ~right[:m]))
    allowed = n_right - fewest_right(required, n)
    if (lost - gained) * n <= allowed * m:
        return _GO_ON  # as good as a passing candidate is expected to be
    chance = _chance_of_pass(
        Urn(n_right, seen_right),
        Urn(n - n_right, m - seen_right),
        lost=lost,
        gained=gained,
        allowed=allowed,
        alpha=alpha,
    )
    return EarlyVerdict(reject=chance <= alpha, chance=chance)


def _chance_of_pass(losses: Urn, gains: Urn, *, lost: int, gained: int, allowed: int, alpha: float) -> float:
    """Bound the probability of a seen drop of ``lost - gained`` or more in any population with ``L - G <= allowed``."""
    beta = _BETA_SHARE * alpha
    most_lost = lost + losses.total - losses.drawn
    low = max(gained, lost - allowed, -allowed, 0)
    high = gains.most_marked(seen=gained, chance=beta)
    if high < low:
        return beta
    worst = 0.0
    for gain in np.unique(np.linspace(high, low, _GRID).round().astype(int))[::-1]:
        loss = min(allowed + int(gain), most_lost)
        tail = difference_tail(losses.probabilities(marked=loss), gains.probabilities(marked=int(gain)), lost - gained)
        worst = max(worst, tail)
        if worst + beta > alpha:
            break
    return min(1.0, worst + beta)


def _judge_records(
    metric: Metric, seen: Part, *, required: float, alpha: float, reference: Part | None
) -> EarlyVerdict:
    if seen.n < _MIN_SAMPLES or reference is None:
        return _GO_ON
    predicted = record_prediction(metric, seen, reference, required=required)
    if predicted is None:
        return _GO_ON
    chance = predicted.chance_of(required, metric.direction)
    return EarlyVerdict(reject=chance <= alpha, chance=chance)


def _judge_mean(
    metric: Metric,
    seen: npt.NDArray[np.float32],
    *,
    n: int,
    required: float,
    alpha: float,
    reference: Part | None,
) -> EarlyVerdict:
    numbers = excess(metric, seen, required)
    m = len(seen)
    if numbers is None or m < _MIN_SAMPLES:
        return _GO_ON
    room = headroom(metric, numbers, seen)
    known = 0.0
    if reference is not None and reference.values is not None and np.isfinite(reference.values).all():
        float_excess = excess(metric, reference.values, required)
        assert float_excess is not None
        numbers = numbers - float_excess[:m]
        known = math.fsum(float_excess.tolist()) / n
    # A share so small that none of it need have been seen may be as good as can be.
    unseen_share = math.log(1.0 / alpha) / (-n * math.log1p(-m / n))
    chance = _tail_of_mean(numbers, below=unseen_share * room - known, share_left=1.0 - m / n)
    return EarlyVerdict(reject=chance <= alpha, chance=chance)


def _tail_of_mean(numbers: npt.NDArray[np.float64], *, below: float, share_left: float) -> float:
    """Return the chance of a sample mean this high if the full mean is at most ``below``."""
    m = len(numbers)
    gap = float(np.mean(numbers)) - below
    variance = float(np.var(numbers, ddof=1))
    if gap <= 0 or variance == 0:
        return 1.0  # equal numbers say nothing about rare other ones
    return float(scipy.special.stdtr(m - 1, -gap / math.sqrt(variance / m * share_left)))
