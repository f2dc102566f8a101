"""What assignments that are alike share beyond what a model says of each.

A deviation from a model, in units of its scatter, is taken as a standard normal whose correlation between two
assignments follows from how alike their noise is:

    r   = sum over points of c_j sqrt(level_aj level_bj) / sqrt(N_a N_b)
    rho = r**2                      of the error of a predicted noise
    rho = r**2 * 2/pi * asin(r)     of samples that turn over: ``2/pi * asin(r)`` is the correlation of two signs

Conditioning on all results
so far gives what is to be expected of a new assignment: a near-duplicate of one that missed is believed to miss, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.strategies.auto.tuning import DEFAULT
from search.strategies.shared.attenuation import Floats


@dataclass(frozen=True)
class Noise:
    """A prediction for many assignments.

    Attributes:
        mean: ``[n]``.
        sd: ``[n]`` standard deviation; of a noise power that of its logarithm.
    """

    mean: Floats
    sd: Floats


class ResidualCorrelation:
    """Deviations of the assignments measured so far from one model.

    Args:
        signs: Whether the deviation counts samples that turn over.
        largest: Deviation beyond which the model is wrong, not the luck; no larger one is taken in.
    """

    def __init__(self, *, signs: bool, largest: float = DEFAULT.goal.largest_deviation) -> None:
        self._largest = largest
        self._signs = signs
        self._attenuation: list[Floats] = []
        self._values: list[float] = []
        self._variances: list[float] = []

    def add(self, attenuation: Floats, value: float, variance: float) -> None:
        """Take in the deviation of an assignment with these attenuation ``[points]``, and its own uncertainty."""
        self._attenuation.append(attenuation)
        self._values.append(float(np.clip(value, -self._largest, self._largest)))
        self._variances.append(variance)

    def expected(self, coefficients: Floats, attenuation: Floats) -> Noise:
        """Return mean and standard deviation of the deviation of assignments with ``attenuation`` ``[n, points]``."""
        n = len(attenuation)
        if not self._values:
            return Noise(np.zeros(n), np.ones(n))
        known = _parts(coefficients, np.array(self._attenuation))
        fresh = _parts(coefficients, attenuation)
        own = self._correlation(known @ known.T) + np.diag(np.array(self._variances) + 1e-3)
        across = self._correlation(fresh @ known.T)
        solved = np.linalg.solve(own, np.column_stack([np.array(self._values), across.T]))
        left = 1.0 - np.einsum("ij,ji->i", across, solved[:, 1:])
        return Noise(across @ solved[:, 0], np.sqrt(np.clip(left, 0.0, 1.0)))

    def _correlation(self, likeness: Floats) -> Floats:
        r = np.clip(likeness, 0.0, 1.0)
        return np.asarray(r**2 * np.arcsin(r) * (2.0 / np.pi) if self._signs else r**2)


def _parts(coefficients: Floats, attenuation: Floats) -> Floats:
    """Amplitude of each point's noise, scaled so that a row's squares add up to 1."""
    amplitude = np.sqrt(np.maximum(attenuation * coefficients, 0.0))
    norm = np.linalg.norm(amplitude, axis=1, keepdims=True)
    return np.asarray(amplitude / np.maximum(norm, 1e-30))
