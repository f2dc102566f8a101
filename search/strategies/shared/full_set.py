"""What the samples that ran let expect of the full set, with a 95 % interval: for evaluations that were stopped.

*By margin.* Where samples run by margin, the smallest first, those that ran are the hardest, no random draw. With the
effective noise ``x`` a right sample is lost with chance ``p(x) = flip_probability(margin / sqrt(x))`` and a wrong one
gained with ``gamma p(x)``. On a grid of ``log x`` with a flat prior

    weight(x)  ~ likelihood(lost, kept | x) ** (1 / OVERDISPERSION)
    drop(x)    ~ Normal(mean, variance)
    mean       = lost - gained + sum p - gamma sum p
    variance   = OVERDISPERSION (sum p(1 - p) + gamma sum p(1 - p)) + TAIL**2 ((sum p)**2 + (gamma sum p)**2) + 1/4

where sums run over the samples that did not run, right and wrong ones. The estimate is the mean of the mixture, the
interval its quantiles, within what the samples left can change. ``OVERDISPERSION`` and ``TAIL`` stand for noise that is
not equally loud in all samples; tests/strategies/shared/test_full_set.py says how often the interval holds.

*By random draw.* Rates: what the rest loses and gains are beta-binomial draws, float right and wrong apart, with the
prior Beta(1/2, 1/2). Others: the samples left are drawn from those seen (Polya's urn, which narrows as the set is
exhausted), as a change from float where there is a float value.
Records of the user's own: search/metrics/record_prediction.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

from search.metrics.part import Part, is_finite, merge
from search.metrics.record_prediction import record_prediction
from search.metrics.reductions import OfRecords
from search.records.trial import Estimate
from search.strategies.shared.flip_probability import flip_probability
from search.strategies.shared.goals import GoalState

OVERDISPERSION = 1.25
TAIL = 0.25
GAIN_PRIOR = 2.0  # samples
STEPS = 81  # of log x
SMALLEST = 1e-4  # chance: no sample is beyond all noise
DRAWS = 200
LEVEL = (0.025, 0.975)
FEWEST = 8  # samples: fewer say nothing
_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]


def full_set_estimate(goal: GoalState, parts: Sequence[Part], *, n: int, by_margin: bool) -> Estimate | None:
    """Return what is expected of one goal on all ``n`` samples; None where nothing can be said.

    Args:
        goal: The goal, with the float results and margins of all samples in the order they run.
        parts: Results of the samples that ran.
        n: Samples of the full set.
        by_margin: Whether samples run by margin.
    """
    seen = merge(parts) if parts else None
    if seen is None or seen.values is None or not FEWEST <= seen.n < n or not is_finite(seen.values):
        return None
    if isinstance(goal.metric.reduction, OfRecords):
        return _of_records(goal, seen)
    if not goal.metric.is_rate:
        return None if by_margin else _by_urn(goal, seen.values, n)
    float_values = None if goal.float_part is None else goal.float_part.values
    right = np.ones(n, np.bool_) if float_values is None else float_values.astype(np.bool_)
    if not by_margin:
        return _by_draw(seen.values.astype(np.bool_), right)
    if goal.margins is None or len(goal.margins) != n:
        return None
    return rate_by_margin(seen.values.astype(np.bool_), right, goal.margins.astype(np.float64))


def _of_records(goal: GoalState, seen: Part) -> Estimate | None:
    if goal.float_part is None:
        return None
    predicted = record_prediction(goal.metric, seen, goal.float_part)
    return None if predicted is None else Estimate(predicted.value, *predicted.interval())


def rate_by_margin(seen: _Flags, right: _Flags, margins: _Floats) -> Estimate:
    """Return the rate of right samples that is expected of all.

    Args:
        seen: Whether each of the first samples is right, ``[m]``.
        right: Whether float has each right, ``[n]``.
        margins: Of float, by absolute value in the order of the samples, ``[n]``.
    """
    n, m = len(right), len(seen)
    size = np.abs(margins)
    low, high = np.log(max(float(np.quantile(size, 0.002)), 1e-9)), np.log(max(float(size.max()), 1e-8))
    chance = flip_probability(size * np.exp(-0.5 * np.linspace(2 * low - 2.0, 2 * high + 3.0, STEPS))[:, np.newaxis])
    was_right, rest_right = right[:m], right[m:]
    weight = _weights(np.clip(chance[:, :m][:, was_right], SMALLEST, 1.0 - SMALLEST), ~seen[was_right])
    lost, gained = int((was_right & ~seen).sum()), int((seen & ~was_right).sum())
    expected = float(weight @ chance[:, :m][:, ~was_right].sum(axis=1))
    gamma = min(1.5, (gained + GAIN_PRIOR) / (expected + GAIN_PRIOR))
    losses, loss_variance = _moments(chance[:, m:][:, rest_right])
    gains, gain_variance = _moments(chance[:, m:][:, ~rest_right])
    mean = lost - gained + losses - gamma * gains
    flips = OVERDISPERSION * (loss_variance + gamma * gain_variance)
    sd = np.sqrt(flips + (TAIL * losses) ** 2 + (TAIL * gamma * gains) ** 2 + 0.25)
    bounds = (lost - gained - int((~rest_right).sum()), lost - gained + int(rest_right.sum()))
    least, most = np.clip(_quantiles(weight, mean, sd), *bounds)
    rate = int(right.sum())
    return Estimate(*(float(rate - drop) / n for drop in (float(weight @ mean), most, least)))


def _weights(chance: _Floats, lost: _Flags) -> _Floats:
    """How well every noise explains which of the right samples were lost, ``[steps]``."""
    log = np.log(chance) @ lost.astype(np.float64) + np.log1p(-chance) @ (~lost).astype(np.float64)
    weight: _Floats = np.exp((log - log.max()) / OVERDISPERSION)
    weight /= weight.sum()
    return weight


def _moments(chance: _Floats) -> tuple[_Floats, _Floats]:
    return chance.sum(axis=1), (chance * (1.0 - chance)).sum(axis=1)


def _quantiles(weight: _Floats, mean: _Floats, sd: _Floats) -> _Floats:
    """Quantiles of a mixture of normals, by its distribution on a fine grid."""
    grid = np.linspace((mean - 5.0 * sd).min(), (mean + 5.0 * sd).max(), 1001)
    below = weight @ scipy.special.ndtr((grid - mean[:, np.newaxis]) / sd[:, np.newaxis])
    found: _Floats = np.interp(LEVEL, below, grid)
    return found


def _by_draw(seen: _Flags, right: _Flags) -> Estimate:
    n, m = len(right), len(seen)
    rng = np.random.default_rng(0)
    was_right, rest = right[:m], right[m:]
    kept = _drawn(rng, int(seen[was_right].sum()), int(was_right.sum()), int(rest.sum()))
    gained = _drawn(rng, int(seen[~was_right].sum()), int((~was_right).sum()), int((~rest).sum()))
    return _summed((int(seen.sum()) + kept + gained) / n)


def _drawn(rng: np.random.Generator, marked: int, drawn: int, rest: int) -> _Floats:
    """How many of the rest are marked, by what was drawn: ``DRAWS`` beta-binomial numbers."""
    chance = rng.beta(marked + 0.5, drawn - marked + 0.5, size=10 * DRAWS)
    return rng.binomial(rest, chance).astype(np.float64)


def _by_urn(goal: GoalState, seen: npt.NDArray[np.float32], n: int) -> Estimate | None:
    rng = np.random.default_rng(0)
    known = None if goal.float_part is None else goal.float_part.values
    values = []
    for _ in range(DRAWS):
        # Polya's urn: every sample left is like one of those seen, with weights that are themselves uncertain
        picked = rng.choice(len(seen), size=n - len(seen), p=rng.dirichlet(np.ones(len(seen))))
        rest = seen[picked]
        if known is not None:
            rest = np.maximum(known[len(seen) :] + (seen - known[: len(seen)])[picked], np.minimum(seen.min(), 0.0))
        value = goal.value([Part(n, values=np.concatenate([seen, rest]).astype(np.float32))])
        values.append(np.nan if value is None else value)
    return _summed(np.array(values)) if np.isfinite(values).all() else None


def _summed(values: _Floats) -> Estimate:
    low, high = np.quantile(values, LEVEL)
    return Estimate(float(values.mean()), float(low), float(high))
