"""The chance that noise turns a sample over, by its margin in standard deviations of the noise.

Noise is not equally loud in all samples: the logarithm of its power is taken as normal with standard deviation
``uneven``, so large noise is more frequent than one Gaussian says:

    flip_probability(z) = mean over u of Phi(-z * exp(-uneven * u / 2)),    u standard normal
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy

from search.strategies.shared.attenuation import Floats

UNEVEN = 0.7
"""Usual standard deviation of the logarithm of the noise power over samples."""
FAR = 12.0  # standard deviations beyond which no sample turns over
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)


@cache
def _table(uneven: float) -> tuple[Floats, Floats]:
    """Margins and their flip probabilities for one spread of the noise over samples."""
    z = np.linspace(0.0, FAR, 1201)
    chances = scipy.special.ndtr(-z[:, np.newaxis] * np.exp(-0.5 * uneven * _NODES))
    return z, np.asarray(chances @ (_WEIGHTS / _WEIGHTS.sum()))


def flip_probability(z: Floats, *, uneven: float = UNEVEN) -> Floats:
    """Return the chance that noise turns samples over; 0 beyond ``FAR``.

    Args:
        z: Margins in standard deviations of the noise, ``>= 0``, of any shape.
        uneven: Standard deviation of the logarithm of the noise power over samples.
    """
    grid, chances = _table(uneven)
    return np.asarray(np.interp(z, grid, chances, right=0.0))
