"""Whether to stop an evaluation after a part of the samples.

Where every goal has margins, samples run by margin, the smallest first: those that noise turns over first. They say
much about the full set, but they are no random draw, so the verdict comes from a model of the rest. With the effective
noise ``x`` of goal_model.py,

    seen losses                     ~ sum over seen right samples of flip_probability(margin / sqrt(x))
    drop of the full set, in samples = seen losses - seen gains + rest(x)
    rest(x)                         ~ Normal(mu_l - gamma mu_g, mu_l + gamma mu_g + (tail mu_l)**2)

``x`` is averaged over what its prior (noise measured on the same samples, times kappa) and the seen losses leave of it.
Goals without margins are judged by the noise alone, measured on the first samples; those of the user's own in Python,
whose relation to noise nobody knows, by their records alone (search/metrics/sequential.py).

Stop with a no where a met goal has a chance below ``reject``; stop with a provisional yes above ``accept``. A yes is
never final: what is delivered has run on everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy

from search.metrics.part import Part, is_finite, merge
from search.strategies.auto.goal_model import GoalModel
from search.strategies.auto.tuning import DEFAULT, StoppingTuning
from search.strategies.shared.flip_probability import FAR, flip_probability
from search.strategies.shared.stopping import Decision, Look

_Floats = npt.NDArray[np.float64]

STEPS = np.linspace(-3.0, 3.0, 31)


Noises = Callable[[Mapping[str, Mapping[str, float]]], Mapping[str, float]]
"""From mean errors by value and name to noise by output."""


class EarlyStopping:
    """Judges evaluations by margin.

    Args:
        curves: One per goal, each with margins.
        n: Samples of the full set.
        noises: Noise of the outputs from measured errors.
        tuning: Chances at which an evaluation ends, and spreads.
    """

    def __init__(
        self, curves: Sequence[GoalModel], n: int, noises: Noises, tuning: StoppingTuning = DEFAULT.stopping
    ) -> None:
        self._tuning = tuning
        self.curves = tuple(curves)
        self._n = n
        self._noises = noises

    def look(self, parts: Mapping[str, Sequence[Part]], errors: Mapping[str, Mapping[str, float]]) -> Decision:
        """Decide after the samples of ``parts``.

        Args:
            parts: Goal to results so far.
            errors: Value to error name to mean error.
        """
        tuning = self._tuning
        chances = self.chances(parts, errors)
        least = min(chances, key=lambda goal: chances[goal])
        if chances[least] < tuning.reject:
            return Decision(Look.REJECT, least)
        seen = min(merge(found).n for found in parts.values())
        front = max(curve.tuning.front for curve in self.curves)
        wanted = tuning.accept if seen * front >= self._n else tuning.accept_early
        return Decision(Look.ACCEPT if math.prod(chances.values()) > wanted else Look.GO_ON)

    def chances(
        self, parts: Mapping[str, Sequence[Part]], errors: Mapping[str, Mapping[str, float]]
    ) -> dict[str, float]:
        """Return goal id to the chance that the full set meets it."""
        noises = self._noises(errors)
        return {
            curve.goal.id: self.chance(curve, merge(parts[curve.goal.id]), noises.get(curve.goal.output))
            for curve in self.curves
        }

    def chance(self, curve: GoalModel, seen: Part, noise: float | None) -> float:
        """Return the chance that the full set meets one goal."""
        goal = curve.goal
        counts = curve.counts(seen)
        if seen.values is not None and not is_finite(seen.values):
            return 0.0
        if counts is None or goal.margins is None or len(goal.margins) != self._n:
            return curve.chance_seen(noise, seen)
        lost, gained = counts
        center, spread = curve.posterior(noise)
        log_x = center + math.hypot(spread, self._tuning.prior_sd) * STEPS
        margins = goal.margins.astype(np.float64)
        front, rest = margins[: seen.n], margins[seen.n :]
        losses, _ = _flip_probability(front, log_x, curve.tuning.uneven)
        variance = self._tuning.overdispersion * losses + 1.0
        weight = np.exp(-0.5 * STEPS**2 - 0.5 * (lost - losses) ** 2 / variance) / np.sqrt(losses + 1.0)
        weight /= weight.sum()
        more_lost, more_gained = _flip_probability(rest, log_x, curve.tuning.uneven)
        more_lost, more_gained = curve.tail * more_lost, curve.gamma * more_gained
        drop = lost - gained + more_lost - more_gained
        sd = np.sqrt(more_lost + more_gained + (self._tuning.tail * more_lost) ** 2 + 1e-6)
        allowed = np.full(len(drop), float(curve.allowed_samples))
        if goal.confidence is not None:
            flips = lost + gained + more_lost + more_gained
            allowed = allowed - curve.confidence_sd * np.sqrt(np.maximum(flips, 1.0))
        return float(weight @ scipy.special.ndtr((allowed + 0.5 - drop) / sd))


def _flip_probability(margins: _Floats, log_x: _Floats, uneven: float) -> tuple[_Floats, _Floats]:
    """Expected losses and gains among samples, for every ``x``."""
    scale = np.exp(-0.5 * log_x)[:, None]
    near = margins[np.abs(margins) < FAR / float(scale.min())]
    right, wrong = near[near > 0], near[near <= 0]
    losses = flip_probability(right * scale, uneven=uneven).sum(axis=1)
    gains = flip_probability(-wrong * scale, uneven=uneven).sum(axis=1)
    return losses, gains
