"""Noise at every output of very many assignments, with its uncertainty, from the sensitivity of single points.

    N_o(a) = floor_o + sum over points j of m_oj * n_oj * level_j(a)

``n_oj`` is the noise power that point ``j`` alone brings to output ``o`` at the base (``power``); ``level_j`` says how
much of it the assignment keeps. The multipliers ``m`` start at 1 with a Gaussian prior that has a part common to all
points (the ranking samples are not the evaluation set) and one of their own; every measured assignment updates them in
closed form:

    gain = K f / (f' K f + s^2)      m <- m + gain (y - f' m)      K <- K - gain (K f)'

with ``f = n * level`` and the measured noise ``y``, known to ``s``: noise powers add up only roughly, the less the
larger they are. See docs/search.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.strategies.auto.residual_correlation import Noise, ResidualCorrelation
from search.strategies.auto.tuning import DEFAULT, NoiseTuning
from search.strategies.shared.attenuation import CHUNK, Floats, Indices, NoiseAttenuation


class OutputNoise:
    """What is believed of one output.

    Args:
        attenuation: Features.
        powers: Noise power of each point alone, ``[points]``.
        limit: Noise power that matters; scales the prior of the floor.
        tuning: Priors, and how far powers add up.
    """

    def __init__(
        self,
        attenuation: NoiseAttenuation,
        powers: Sequence[float],
        *,
        limit: float,
        tuning: NoiseTuning = DEFAULT.noise,
    ) -> None:
        self._tuning = tuning
        self._attenuation = attenuation
        self._powers = np.append(np.asarray(powers, np.float64), limit)  # the last one: the floor
        n = len(self._powers)
        self._mean = np.ones(n)
        self._mean[-1] = 0.0
        self._cov = np.full((n, n), tuning.common_sd**2) + np.eye(n) * tuning.own_sd**2
        self._cov[-1, :] = self._cov[:, -1] = 0.0
        self._cov[-1, -1] = tuning.floor_sd**2
        self._seen: list[tuple[Floats, float, float]] = []
        self._optimism = 0.0
        self._has_chosen = False

    @property
    def coefficients(self) -> Floats:
        """Believed noise power of each point at level 1, ``[points]``."""
        found: Floats = np.maximum(self._mean[:-1], self._tuning.smallest_multiplier) * self._powers[:-1]
        return found

    @property
    def floor(self) -> float:
        """Believed noise power that no choice removes."""
        return float(max(0.0, self._mean[-1]) * self._powers[-1])

    def observe(self, attenuation: Floats, measured: float, *, relative: float = 0.0) -> None:
        """Take in a measured noise power.

        Args:
            attenuation: Of every point, ``[points]``.
            measured: Noise power.
            relative: Standard deviation of the measurement itself, relative.
        """
        self._seen.append((attenuation, measured, relative))
        features = np.append(attenuation, 1.0) * self._powers
        predicted = float(features @ self._mean)
        self._be_wary(attenuation, measured)
        spread = misfit(max(measured, 0.0), self._tuning) ** 2 + relative**2
        error = spread * max(measured, 1e-12) ** 2
        direction = self._cov @ features
        gain = direction / (float(features @ direction) + error)
        self._mean = self._mean + gain * (measured - predicted)
        self._cov = self._cov - np.outer(gain, direction)

    def predict(self, attenuation: Floats) -> Noise:
        """Return the noise of assignments by their attenuation ``[n, points]``."""
        mean = attenuation @ self.coefficients + self.floor
        scaled = self._cov * np.outer(self._powers, self._powers)
        spread = attenuation @ scaled[:-1, :-1]
        spread += 2.0 * scaled[-1, :-1]
        variance = np.maximum(np.einsum("ij,ij->i", spread, attenuation) + scaled[-1, -1], 0.0)
        safe = np.maximum(mean, 1e-30)
        alike = self._misfits(attenuation)
        error = self._tuning.misfit
        sd = np.sqrt(np.log1p(variance / safe**2) * alike.sd**2 + (error * alike.sd) ** 2)
        return Noise(mean * np.exp(error * alike.mean + self._optimism), sd)

    def _be_wary(self, attenuation: Floats, measured: float) -> None:
        """Take in how much more noise there was than predicted.

        Assignments are chosen for a low prediction, so the chosen ones have more noise on the average. The first one
        only tells how loud everything is.
        """
        predicted = float(attenuation @ self.coefficients) + self.floor
        chosen = (attenuation < 1.0).any()
        if self._has_chosen and chosen and measured > 0 and predicted > 0:
            most = self._tuning.largest_surprise
            surprise = float(np.clip(np.log(measured / predicted), -most, most))
            self._optimism += (surprise - self._optimism) * self._tuning.latest
        self._has_chosen = self._has_chosen or bool(chosen)

    def _misfits(self, attenuation: Floats) -> Noise:
        """What measured assignments that are alike say about the error of a prediction, in units of ``misfit``."""
        correlation, error = ResidualCorrelation(signs=False), self._tuning.misfit
        for seen, measured, relative in self._seen:
            predicted = float(seen @ self.coefficients) + self.floor
            if measured > 0 and predicted > 0:
                correlation.add(seen, float(np.log(measured / predicted)) / error, (relative / error) ** 2)
        return correlation.expected(self.coefficients, attenuation)


def power(error: float, metric: str) -> float:
    """Return the noise power behind a mean output error.

    ``cosine`` (1 - cos): noise orthogonal to the signal has ``cos = 1 / sqrt(1 + r)``, so ``r = cos**-2 - 1``.
    ``l1``, ``atol``: the square.
    """
    if metric != "cosine":
        return min(error, 1e15) ** 2
    cosine = max(1.0 - error, 0.05)
    return cosine**-2 - 1.0


def misfit(noise: float, tuning: NoiseTuning = DEFAULT.noise) -> float:
    """Return the relative standard deviation of a sum of noise powers as a model of ``noise``."""
    return tuning.misfit + min(noise / tuning.saturation, 3.0) * 0.5


class NoiseModel:
    """Noise of all outputs.

    Args:
        attenuation: Features.
        outputs: Per output what is believed of it.
    """

    def __init__(self, attenuation: NoiseAttenuation, outputs: dict[str, OutputNoise]) -> None:
        self.attenuation = attenuation
        self.outputs = outputs

    def predict(self, index_array: Indices) -> dict[str, Noise]:
        """Return output to noise for assignments ``[n, groups]``."""
        stretches = [index_array[start : start + CHUNK] for start in range(0, len(index_array), CHUNK)] or [index_array]
        found: dict[str, list[Noise]] = {name: [] for name in self.outputs}
        for attenuation in map(self.attenuation.of, stretches):
            for name, one in self.outputs.items():
                found[name].append(one.predict(attenuation))
        return {name: _joined(noises) for name, noises in found.items()}

    def observe(self, row: Indices, measured: dict[str, float], *, relative: float = 0.0) -> None:
        """Take in what one assignment gave."""
        attenuation = self.attenuation.of(row[np.newaxis])[0]
        for name, noise in measured.items():
            if name in self.outputs:
                self.outputs[name].observe(attenuation, noise, relative=relative)


def _joined(noises: Sequence[Noise]) -> Noise:
    if len(noises) == 1:
        return noises[0]
    return Noise(np.concatenate([one.mean for one in noises]), np.concatenate([one.sd for one in noises]))
