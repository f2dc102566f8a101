"""Rounding through IEEE binary16, as a Cast to float16 and back does.

``fp16(x)`` = the nearest binary16, ties to even; ``|x| >= 65520`` becomes infinite. See docs/numerics.md#fp16.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LARGEST_FP16 = 65504.0
"""Largest finite binary16."""


def round_fp16(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return ``x`` rounded to binary16, as float32 of the same shape. NaN stays NaN."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(x).astype(np.float16).astype(np.float32)
