"""The chance that noise turns a sample over, by its margin in standard deviations of the noise.

Noise is not equally loud in all samples: the logarithm of its power is taken as normal with standard deviation
``UNEVEN``, so large noise is more frequent than one Gaussian says:

    flip_probability(z) = mean over u of Phi(-z * exp(-UNEVEN * u / 2)),    u standard normal
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy

from search.strategies.shared.attenuation import Floats

UNEVEN = 0.7
FAR = 12.0  # standard deviations beyond which no sample turns over
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_Z = np.linspace(0.0, FAR, 1201)


@cache
def _turned() -> Floats:
    """The chance at ``_Z``."""
    chances = scipy.special.ndtr(-_Z[:, np.newaxis] * np.exp(-0.5 * UNEVEN * _NODES))
    return np.asarray(chances @ (_WEIGHTS / _WEIGHTS.sum()))


def flip_probability(z: Floats) -> Floats:
    """Return the chance for margins ``z >= 0``, of any shape; 0 beyond ``FAR``."""
    return np.asarray(np.interp(z, _Z, _turned(), right=0.0))
