"""How bad a goal is at a noise, before anything was learnt; see goal_model.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from search.strategies.shared.attenuation import Floats
from search.strategies.shared.flip_probability import flip_probability
from search.strategies.shared.goals import GoalState

GRID = np.logspace(-9, 4, 261)
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


def rate_shape(goal: GoalState, *, uneven: float) -> Shape | None:
    """Losses and gains from the margins; None where there are none."""
    if goal.margins is None or goal.float_value is None or not len(goal.margins):
        return None
    margins = goal.margins.astype(np.float64)
    n = len(margins)
    losses, gains = (one / n for one in flip_curves(margins, uneven=uneven))
    allowed = goal.float_value - goal.required
    return Shape(losses, gains, allowed, (0.0, 0.7 if goal.ranking == "cosine" else 4.0))


def flip_curves(margins: Floats, *, uneven: float) -> tuple[Floats, Floats]:
    """Expected number of losses and gains among samples, for every noise of ``GRID``."""
    right, wrong = margins[margins > 0], margins[margins <= 0]
    scale = 1.0 / np.sqrt(GRID)
    losses = np.array([float(flip_probability(right * s, uneven=uneven).sum()) for s in scale])
    return losses, np.array([float(flip_probability(-wrong * s, uneven=uneven).sum()) for s in scale])


def usual_shape(goal: GoalState) -> Shape:
    """Badness of metrics other than rates, by a formula."""
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
        return Shape(function(GRID), none, badness_of(goal, goal.required), (0.0, sd))
    if name in _LABEL_ERRORS and goal.float_value is not None:
        base = goal.float_value
        unit_sd = 1.0 if goal.ranking == "l1" else 4.0
        return Shape(np.sqrt(base**2 + GRID) - base, none, badness_of(goal, goal.required), (0.0, unit_sd))
    return Shape(GRID.copy(), none, badness_of(goal, goal.required), (0.0, 4.0))


def badness_of(goal: GoalState, value: float) -> float:
    """How bad a value is, in the unit of the goal's curve."""
    if goal.float_value is None:
        if goal.metric.name == "sqnr_db":
            return float(10.0 ** (-value / 10.0))
        return 1.0 - value if goal.metric.direction == "higher" else value
    sign = 1.0 if goal.metric.direction == "higher" else -1.0
    return max(0.0, sign * (goal.float_value - value))


def noise_at(badness: float, curve: Floats) -> float:
    """Effective noise at which a growing curve reaches ``badness``; the ends of the grid beyond it."""
    i = int(np.searchsorted(curve, badness))
    if i == 0:
        return float(GRID[0])
    if i >= len(GRID):
        return float(GRID[-1])
    return float(between(badness, curve[i - 1 : i + 1], GRID[i - 1 : i + 1]))


def between(value: float, ends: Floats, grid: Floats) -> float:
    """Interpolate in the logarithm of the grid."""
    low, high = float(ends[0]), float(ends[1])
    share = 0.5 if high <= low else (value - low) / (high - low)
    return float(np.exp(np.log(grid[0]) + share * (np.log(grid[1]) - np.log(grid[0]))))
