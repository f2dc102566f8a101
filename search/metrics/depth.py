"""Metrics of depth maps, one number per image, whose mean is the value; pixels whose label is not above 0 do not count.

abs_rel   mean |d - l| / l
delta1    share of pixels with max(d / l, l / d) < 1.25
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from search.arrays import Array

Floats = npt.NDArray[np.float64]
RATIO = 1.25


def abs_rel(outputs: Mapping[str, Array], labels: Mapping[str, Any]) -> Floats:
    """Return the mean relative error of each image, float64 ``[n]``."""
    return _per_image(outputs, labels, lambda depth, truth: float(np.mean(np.abs(depth - truth) / truth)))


def delta1(outputs: Mapping[str, Array], labels: Mapping[str, Any]) -> Floats:
    """Return the share of near pixels of each image, float64 ``[n]``; depths that are not above 0 are far."""
    return _per_image(outputs, labels, lambda depth, truth: float(np.mean(_is_near(depth, truth))))


def _is_near(depth: Floats, truth: Floats) -> npt.NDArray[np.bool_]:
    is_near: npt.NDArray[np.bool_] = (depth < RATIO * truth) & (truth < RATIO * depth)
    return is_near


def _per_image(
    outputs: Mapping[str, Array], labels: Mapping[str, Any], number: Callable[[Floats, Floats], float]
) -> Floats:
    """One number per image from the pixels that count.

    Raises:
        ValueError: If sizes differ, or an image has no pixel that counts.
    """
    (output,), (label,) = outputs.values(), labels.values()
    found = []
    for depth, truth in zip(output, label, strict=True):
        one, two = (np.asarray(values, np.float64).reshape(-1) for values in (depth, truth))
        if len(one) != len(two):
            raise ValueError(f"the output has {len(one)} pixels per image, the labels have {len(two)}")
        counts = np.isfinite(two) & (two > 0)
        if not counts.any():
            raise ValueError("an image has no pixel with a label above 0")
        found.append(number(one[counts], two[counts]))
    return np.array(found)
