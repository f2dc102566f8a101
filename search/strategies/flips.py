"""The chance that noise turns a sample over, by its margin in standard deviations of the noise.

Noise is not equally loud in all samples: the logarithm of its power is taken as normal with standard deviation
``UNEVEN``, so large noise is more frequent than one Gaussian says:

    turned(z) = mean over u of Phi(-z * exp(-UNEVEN * u / 2)),    u standard normal
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from search.strategies.levels import Floats

UNEVEN = 0.7
FAR = 12.0  # standard deviations beyond which no sample turns over
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_Z = np.linspace(0.0, FAR, 1201)
_TURNED = ndtr(-_Z[:, np.newaxis] * np.exp(-0.5 * UNEVEN * _NODES)) @ (_WEIGHTS / _WEIGHTS.sum())


def turned(z: Floats) -> Floats:
    """Return the chance for margins ``z >= 0``, of any shape; 0 beyond ``FAR``."""
    return np.asarray(np.interp(z, _Z, _TURNED, right=0.0))
