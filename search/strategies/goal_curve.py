"""From noise at an output to the chance that a goal is met there.

Every goal is a growing *badness* of an effective noise ``x = kappa * N`` that may not exceed ``allowed``:

    cosine     1 - 1/sqrt(1 + x)          allowed 1 - required
    sqnr_db    x                          10**(-required / 10)
    l1, atol   sqrt(x)                    required
    mae, rmse  sqrt(float**2 + x)         required
    top1, top5 losses(x) - gamma gains(x) float - required
    others     x                          |float - required|

``losses`` and ``gains`` come from the float margins of the evaluation samples (search/metrics/margins.py):
``mean over right samples of Phi(-margin / sqrt(x))`` and the same over wrong ones. ``kappa`` is log-normal and learns
from every evaluation; ``gamma`` scales the gains. Two assignments of equal noise turn different samples over, so the
drop of a rate is scattered by ``sqrt(losses + gamma gains) / sqrt(n)``: the chance of a goal is never a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from search.metrics.part import Part, merge
from search.strategies.estimator import Noise
from search.strategies.goals import GoalState
from search.strategies.levels import Floats

GRID = np.logspace(-9, 4, 261)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
PROCESS_SD = 0.2  # of log kappa from one assignment to another
GAIN_PRIOR = 5.0  # samples
_LABEL_ERRORS = ("mae", "rmse")


@dataclass(frozen=True, eq=False)
class Shape:
    """Badness by effective noise.

    Attributes:
        badness: Of ``GRID``, growing.
        gains: What is taken off it, times ``gamma``; zero for everything but rates.
        allowed: Largest badness that meets the goal.
        prior: Logarithm of kappa at the start, and its standard deviation.
    """

    badness: Floats
    gains: Floats
    allowed: float
    prior: tuple[float, float]


class GoalCurve:
    """What is believed of one goal.

    Args:
        goal: The goal.
        n_samples: Of the evaluation set.
    """

    def __init__(self, goal: GoalState, n_samples: int) -> None:
        self.goal = goal
        self._n = n_samples
        self.shape = _rate_shape(goal) or _shape(goal)
        self._is_rate = bool(self.shape.gains.any()) or goal.metric.is_rate
        self._log_kappa, sd = self.shape.prior
        self._variance = sd**2
        self._gained = self._expected = GAIN_PRIOR

    @property
    def gamma(self) -> float:
        """Gains over what the margins say."""
        return self._gained / self._expected

    def limit(self) -> float:
        """Return the noise at which the goal is just met, by the mean of what is believed."""
        net = np.maximum.accumulate(self.shape.badness - self.gamma * self.shape.gains)
        above = np.flatnonzero(net > self.shape.allowed)
        if len(above) == 0:
            x = float(GRID[-1])
        elif above[0] == 0:
            x = float(GRID[0])
        else:
            x = float(_between(self.shape.allowed, net[above[0] - 1 : above[0] + 1], GRID[above[0] - 1 : above[0] + 1]))
        return x / math.exp(self._log_kappa)

    def chance(self, noise: Noise) -> Floats:
        """Return the chance that the goal is met, ``[n]``."""
        log_x = np.log(np.maximum(noise.mean, 1e-12)) + self._log_kappa
        sd = np.sqrt(noise.sd**2 + self._variance + PROCESS_SD**2)
        total = np.zeros(len(log_x))
        for node, weight in zip(NODES, WEIGHTS / WEIGHTS.sum(), strict=True):
            total += weight * self._chance_at(log_x + sd * node)
        return total

    def observe(self, parts: Sequence[Part], noise: float) -> None:
        """Take in the results of one assignment whose noise was measured as ``noise``."""
        seen = merge(parts)
        found = self._rate_seen(seen) if self._is_rate else self._value_seen(parts)
        if found is None or noise <= 0:
            return
        log_x, sd = found
        variance = sd**2 + PROCESS_SD**2
        gain = self._variance / (self._variance + variance)
        self._log_kappa += gain * (log_x - math.log(noise) - self._log_kappa)
        self._variance *= 1.0 - gain

    def _chance_at(self, log_x: Floats) -> Floats:
        losses = np.interp(log_x, np.log(GRID), self.shape.badness)
        gains = self.gamma * np.interp(log_x, np.log(GRID), self.shape.gains)
        room = self.shape.allowed - (losses - gains)
        if not self._is_rate:
            return np.where(room >= 0, 1.0, 0.0)
        scatter = np.sqrt(np.maximum(losses + gains, 1.0 / self._n) / self._n)
        if self.goal.confidence is not None:
            room = room - float(ndtri(self.goal.confidence)) * scatter
        return np.asarray(ndtr((room + 0.5 / self._n) / scatter))

    def _rate_seen(self, seen: Part) -> tuple[float, float] | None:
        reference = self.goal.float_part
        if reference is None or reference.values is None or seen.values is None or seen.values.dtype != np.bool_:
            return None
        right = reference.values[: seen.n]
        lost = int(np.count_nonzero(right & ~seen.values))
        gained = int(np.count_nonzero(seen.values & ~right))
        share = (lost + 0.5) / (seen.n + 1)
        x = _inverse(share, self.shape.badness)
        self._gained += gained
        self._expected += seen.n * float(np.interp(math.log(x), np.log(GRID), self.shape.gains))
        saturated = 1.0 if share > 0.4 * self.shape.badness[-1] else 0.0
        return math.log(x), 2.0 / math.sqrt(lost + 0.5) + saturated

    def _value_seen(self, parts: Sequence[Part]) -> tuple[float, float] | None:
        value = self.goal.judged(parts)
        if value is None:
            return None
        badness = _badness(self.goal, value)
        sd = 0.1
        if badness <= 0.05 * self.shape.allowed:
            badness, sd = 0.05 * self.shape.allowed, 1.5
        return math.log(_inverse(badness, self.shape.badness)), sd


def _rate_shape(goal: GoalState) -> Shape | None:
    """Losses and gains from the margins; None where there are none."""
    if goal.margins is None or goal.float_value is None or not len(goal.margins):
        return None
    margins = goal.margins.astype(np.float64)
    n = len(margins)
    right, wrong = margins[margins > 0], margins[margins <= 0]
    scale = 1.0 / np.sqrt(GRID)
    losses = np.array([float(ndtr(-right * s).sum()) / n for s in scale])
    gains = np.array([float(ndtr(wrong * s).sum()) / n for s in scale])
    allowed = goal.float_value - goal.required
    return Shape(losses, gains, allowed, (0.0, 0.7 if goal.ranking == "cosine" else 4.0))


def _shape(goal: GoalState) -> Shape:
    name, none = goal.metric.name, np.zeros(len(GRID))
    curves: dict[str, tuple[Callable[[Floats], Floats], str]] = {
        "cosine": (lambda x: 1.0 - 1.0 / np.sqrt(1.0 + x), "cosine"),
        "sqnr_db": (lambda x: x, "cosine"),
        "l1": (np.sqrt, "l1"),
        "atol": (np.sqrt, "atol"),
    }
    if name in curves and goal.float_value is None:
        function, unit = curves[name]
        sd = 0.5 if goal.ranking == unit else 4.0
        return Shape(function(GRID), none, _badness(goal, goal.required), (0.0, sd))
    if name in _LABEL_ERRORS and goal.float_value is not None:
        base = goal.float_value
        unit_sd = 1.0 if goal.ranking == "l1" else 4.0
        return Shape(np.sqrt(base**2 + GRID) - base, none, _badness(goal, goal.required), (0.0, unit_sd))
    return Shape(GRID.copy(), none, _badness(goal, goal.required), (0.0, 4.0))


def _badness(goal: GoalState, value: float) -> float:
    """How bad a value is, in the unit of the goal's curve."""
    if goal.float_value is None:
        if goal.metric.name == "sqnr_db":
            return float(10.0 ** (-value / 10.0))
        return 1.0 - value if goal.metric.direction == "higher" else value
    sign = 1.0 if goal.metric.direction == "higher" else -1.0
    return max(0.0, sign * (goal.float_value - value))


def _inverse(badness: float, curve: Floats) -> float:
    """Effective noise at which a growing curve reaches ``badness``; the ends of the grid beyond it."""
    i = int(np.searchsorted(curve, badness))
    if i == 0:
        return float(GRID[0])
    if i >= len(GRID):
        return float(GRID[-1])
    return float(_between(badness, curve[i - 1 : i + 1], GRID[i - 1 : i + 1]))


def _between(value: float, ends: Floats, grid: Floats) -> float:
    """Interpolate in the logarithm of the grid."""
    low, high = float(ends[0]), float(ends[1])
    share = 0.5 if high <= low else (value - low) / (high - low)
    return float(np.exp(np.log(grid[0]) + share * (np.log(grid[1]) - np.log(grid[0]))))
