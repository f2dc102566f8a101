"""Post-processing that lives outside the ONNX file; only errors that rank points are taken behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import numpy.typing as npt
import scipy

from search.arrays import Array
from search.spec.job import Transform


def _softmax(x: Array) -> Array:
    return np.asarray(scipy.special.softmax(_real(x), axis=-1))


def _sigmoid(x: Array) -> Array:
    return np.asarray(scipy.special.expit(_real(x)))


def _real(x: Array) -> npt.NDArray[np.float32]:
    """Outputs that are ranked are real numbers, of whatever width; they are taken as they are."""
    return cast("npt.NDArray[np.float32]", x)


TRANSFORMS: Mapping[Transform, Callable[[Array], Array]] = {"softmax": _softmax, "sigmoid": _sigmoid}
