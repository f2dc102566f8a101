"""From noise at an output to the chance that a goal is met there.

Every goal is a growing *badness* of an effective noise ``x = kappa * N`` that may not exceed ``allowed``:

    cosine     1 - 1/sqrt(1 + x)          allowed 1 - required
    sqnr_db    x                          10**(-required / 10)
    l1, atol   sqrt(x)                    required
    mae, rmse  sqrt(float**2 + x)         required
    top1, top5 losses(x) - gamma gains(x) float - required
    others     x                          |float - required|

``losses`` and ``gains`` come from the float margins of the evaluation samples (search/metrics/margins.py):
``mean over right samples of flip_probability(margin / sqrt(x))`` and the same over wrong ones (flip_probability.py).
``kappa`` is log-normal and learns from every evaluation; ``gamma`` scales the gains, ``tail`` the losses of samples
with large margins. Two assignments of equal noise turn different samples over, so the drop of a rate is scattered by
``sqrt(losses + gamma gains) / sqrt(n)``: the chance of a goal is never a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from search.metrics.part import Part, merge
from search.metrics.sequential import fewest_right
from search.strategies.auto.goal_shape import (
    GRID,
    badness_of,
    between,
    flip_curves,
    noise_at,
    rate_shape,
    usual_shape,
)
from search.strategies.auto.paired import Prediction, predict
from search.strategies.auto.residual_correlation import Noise
from search.strategies.auto.tuning import DEFAULT, GoalTuning
from search.strategies.shared.attenuation import Floats
from search.strategies.shared.goals import GoalState

_LOG_GRID = np.log(GRID)
STEPS = np.linspace(-5.0, 5.0, 101)  # of log kappa, in standard deviations
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)


@dataclass(frozen=True)
class Deviation:
    """How far one result lies from the curve.

    Attributes:
        value: In units of the scatter.
        variance: Of the measurement: a part of the samples only.
    """

    value: float
    variance: float


class GoalModel:
    """What is believed of one goal.

    Args:
        goal: The goal.
        n_samples: Of the evaluation set.
        tuning: Spreads and priors.
    """

    def __init__(self, goal: GoalState, n_samples: int, tuning: GoalTuning = DEFAULT.goal) -> None:
        self.tuning = tuning
        self.goal = goal
        self._n = n_samples
        self.shape = rate_shape(goal, uneven=tuning.uneven) or usual_shape(goal)
        self.is_rate = bool(self.shape.gains.any()) or goal.metric.is_rate
        self._log_kappa, sd = self.shape.prior
        self._variance = sd**2
        self._gained = self._expected = tuning.gain_prior
        self._lost_late = self._expected_late = tuning.tail_prior
        self._by_count: dict[int, tuple[Floats, Floats]] = {}
        self._reference: Part | None = None  # of the last assignment that ran on all samples

    @property
    def gamma(self) -> float:
        """Gains over what the margins say."""
        return self._gained / self._expected

    @property
    def tail(self) -> float:
        """Losses behind the front over what the front makes expect, at least 1: of samples with large margins."""
        return max(1.0, self._lost_late / self._expected_late)

    @property
    def allowed_samples(self) -> int:
        """Largest net loss of samples that meets a rate's goal."""
        reference = self.goal.float_part
        assert reference is not None
        assert reference.values is not None
        return int(np.count_nonzero(reference.values)) - fewest_right(self.goal.required, self._n)

    @property
    def confidence_sd(self) -> float:
        """How many standard deviations the bound lies below the estimate."""
        return 0.0 if self.goal.confidence is None else float(scipy.special.ndtri(self.goal.confidence))

    def posterior(self, noise: float | None) -> tuple[float, float]:
        """Return mean and standard deviation of ``log x`` for a measured noise; wide where it was not measured."""
        if noise is None:
            return math.log(self.limit()) + self._log_kappa, 2.0
        return math.log(max(noise, 1e-9)) + self._log_kappa, math.sqrt(self._variance)

    def limit(self) -> float:
        """Return the noise at which the goal is just met, by the mean of what is believed."""
        return math.exp(self._log_limit() - self._log_kappa)

    def chance_seen(self, noise: float | None, seen: Part) -> float:
        """Return the chance that a goal without margins is met.

        Args:
            noise: Measured on the first samples; counts until an assignment ran on all of them.
            seen: Results so far.
        """
        predicted, share = self._predicted(seen), seen.n / self._n
        if predicted is not None:
            return predicted.chance
        if noise is None or self.goal.metric.user is not None:
            return 0.5
        center, spread = self.posterior(noise)
        sd = math.sqrt(spread**2 + self.tuning.process_sd**2 + (self.tuning.part_sd * (1.0 - share)) ** 2)
        return float(scipy.special.ndtr((self._log_limit() - center) / sd))

    def _log_limit(self) -> float:
        """Logarithm of the effective noise at which the goal is just met."""
        net = np.maximum.accumulate(self._losses - self.gamma * self.shape.gains)
        above = np.flatnonzero(net > self.shape.allowed)
        if len(above) == 0:
            x = float(GRID[-1])
        elif above[0] == 0:
            x = float(GRID[0])
        else:
            x = float(between(self.shape.allowed, net[above[0] - 1 : above[0] + 1], GRID[above[0] - 1 : above[0] + 1]))
        return math.log(x)

    def chance(self, noise: Noise, luck: Noise) -> Floats:
        """Return the chance that the goal is met, ``[n]``.

        Args:
            noise: Of each assignment.
            luck: What is expected of its deviation from the curve, in units of its scatter: mean and standard
                deviation ``[n]``.
        """
        log_x = np.log(np.maximum(noise.mean, 1e-12)) + self._log_kappa
        sd = np.sqrt(noise.sd**2 + self._variance)
        if not self.is_rate:
            sd = np.sqrt(sd**2 + (self.tuning.process_sd * luck.sd) ** 2)
            return np.asarray(
                scipy.special.ndtr(
                    (self._log_limit() - log_x - self.tuning.process_sd * luck.mean) / np.maximum(sd, 1e-3)
                )
            )
        total = np.zeros(len(log_x))
        for node, weight in zip(NODES, WEIGHTS / WEIGHTS.sum(), strict=True):
            total += weight * self._chance_at(log_x + sd * node, luck)
        return total

    def deviation(self, parts: Sequence[Part], noise: float) -> Deviation | None:
        """Return how far a result lies from the curve, in units of its scatter; positive is worse."""
        log_x = math.log(max(noise, 1e-12)) + self._log_kappa
        seen = merge(parts)
        if not self.is_rate:
            found = self._value_seen(parts)
            return (
                None
                if found is None
                else Deviation((found[0] - log_x) / self.tuning.process_sd, (found[1] / self.tuning.process_sd) ** 2)
            )
        counts = self.counts(seen)
        if counts is None:
            return None
        front = [float(np.interp(log_x, _LOG_GRID, one)) for one in self._expected_flips(seen.n)]
        expected = front[0] - self.gamma * front[1]
        flips = front[0] + self.gamma * front[1]
        every = max(float(sum(self._flip_probability(log_x))) * self._n, 1.0)
        seen_share = min(1.0, max(flips, 0.5) / every)
        value = (counts[0] - counts[1] - expected) / math.sqrt(every)
        return Deviation(value / seen_share, 1.0 / seen_share - 1.0 + 0.05)

    def observe(self, parts: Sequence[Part], noise: float) -> None:
        """Take in the results of one assignment whose noise was measured as ``noise``."""
        if noise <= 0:
            return
        seen = merge(parts)
        if seen.n == self._n:
            self._reference = seen
        counts = self.counts(seen) if self.is_rate else None
        if counts is not None:
            self._observe_counts(seen, counts, math.log(noise))
            return
        found = None if self.is_rate else self._value_seen(parts)
        if found is None:
            return
        log_x, sd = found
        variance = sd**2 + self.tuning.process_sd**2
        gain = self._variance / (self._variance + variance)
        self._log_kappa += gain * (log_x - math.log(noise) - self._log_kappa)
        self._variance *= 1.0 - gain

    def _observe_counts(self, seen: Part, counts: tuple[int, int], log_noise: float) -> None:
        """Take in samples lost and gained: Bayes on a grid, since nearly as many as ever can be say little of ``x``."""
        lost, gained = counts
        self._observe_tail(seen, log_noise)
        losses, gains = self._expected_flips(seen.n)
        self._log_kappa, self._variance = self._given(lost, losses, log_noise, share=seen.n / self._n)
        self._gained += gained
        self._expected += float(np.interp(self._log_kappa + log_noise, _LOG_GRID, gains))

    def _given(self, lost: int, losses: Floats, log_noise: float, *, share: float) -> tuple[float, float]:
        """Mean and variance of ``log kappa`` where ``lost`` samples turned over of those that ``losses`` counts."""
        log_kappa = self._log_kappa + math.sqrt(self._variance) * STEPS
        expected = np.interp(log_kappa + log_noise, _LOG_GRID, losses)
        slope = np.interp(log_kappa + log_noise, _LOG_GRID, np.gradient(losses, _LOG_GRID))
        variance = (
            self.tuning.overdispersion * expected
            + 1.0
            + slope**2 * (self.tuning.process_sd**2 + (2.0 * self.tuning.part_sd * (1.0 - share)) ** 2)
        )
        log_weight = -0.5 * (STEPS**2 + (lost - expected) ** 2 / variance + np.log(variance))
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        mean = float(weight @ log_kappa)
        return mean, max(float(weight @ (log_kappa - mean) ** 2), self.tuning.process_sd**2)

    @property
    def _losses(self) -> Floats:
        """Badness by effective noise, with what was learnt of the tail."""
        if self.goal.margins is None or not self.shape.gains.any():
            return self.shape.badness
        front = self._expected_flips(self._n_front)[0] / self._n
        return front + self.tail * (self.shape.badness - front)

    @property
    def _n_front(self) -> int:
        return max(1, self._n // self.tuning.front)

    def _observe_tail(self, seen: Part, log_noise: float) -> None:
        """Compare the losses behind the front with those in it."""
        reference, n = self.goal.float_part, self._n_front
        if seen.n < self._n or reference is None or reference.values is None or seen.values is None:
            return
        lost = reference.values & ~seen.values.astype(np.bool_)
        front, every = self._expected_flips(n)[0], self._n * self.shape.badness
        log_kappa, _ = self._given(int(np.count_nonzero(lost[:n])), front, log_noise, share=1.0)
        self._lost_late += int(np.count_nonzero(lost[n:]))
        self._expected_late += float(np.interp(log_kappa + log_noise, _LOG_GRID, every - front))

    def _flip_probability(self, log_x: Floats | float) -> tuple[Floats, Floats]:
        losses = np.interp(log_x, _LOG_GRID, self._losses)
        return np.asarray(losses), np.asarray(self.gamma * np.interp(log_x, _LOG_GRID, self.shape.gains))

    def _chance_at(self, log_x: Floats, luck: Noise) -> Floats:
        losses, gains = self._flip_probability(log_x)
        room = self.shape.allowed - (losses - gains)
        scatter = np.sqrt(np.maximum(losses + gains, 1.0 / self._n) / self._n)
        if self.goal.confidence is not None:
            room = room - self.confidence_sd * scatter
        return np.asarray(
            scipy.special.ndtr(((room + 0.5 / self._n) / scatter - luck.mean) / np.maximum(luck.sd, 0.05))
        )

    def counts(self, seen: Part) -> tuple[int, int] | None:
        """Samples lost and gained against float."""
        reference = self.goal.float_part
        if reference is None or reference.values is None or seen.values is None or seen.values.dtype != np.bool_:
            return None
        right = reference.values[: seen.n]
        return int(np.count_nonzero(right & ~seen.values)), int(np.count_nonzero(seen.values & ~right))

    def _expected_flips(self, n: int) -> tuple[Floats, Floats]:
        """Expected losses and gains among the first ``n`` samples, for every noise of ``GRID``."""
        margins = self.goal.margins
        if margins is None or n > len(margins) or n == self._n:
            return n * self.shape.badness, n * self.shape.gains
        if n not in self._by_count:
            self._by_count[n] = flip_curves(margins[:n].astype(np.float64), uneven=self.tuning.uneven)
        return self._by_count[n]

    def _value_seen(self, parts: Sequence[Part]) -> tuple[float, float] | None:
        """Logarithm of the effective noise that the value of the full set stands for, and its standard deviation."""
        seen = merge(parts)
        predicted = self._predicted(seen)
        value = self.goal.judged(parts, n=self._n) if predicted is None else predicted.value
        if value is None:
            return None
        badness = badness_of(self.goal, value)
        if badness <= 0.05 * self.shape.allowed:
            return self._log_x(0.05 * self.shape.allowed), 1.5
        if predicted is None:
            return self._log_x(badness), math.hypot(0.05, 2.0 * self.tuning.part_sd * (1.0 - seen.n / self._n))
        return self._log_x(badness), self._log_x(badness_of(self.goal, predicted.worse)) - self._log_x(badness) + 0.02

    def _log_x(self, badness: float) -> float:
        return math.log(noise_at(badness, self.shape.badness))

    def _predicted(self, seen: Part) -> Prediction | None:
        """The full set by what was seen and the last assignment that ran on all of it."""
        if self._reference is None or self.goal.confidence is not None or seen.n >= self._n:
            return None
        return predict(self.goal.metric, self.goal.required, seen, self._reference, tuning=self.tuning)
