"""The float model of a vendor folder against the user's: what was renamed, folded and lowered must compute the same."""

from __future__ import annotations

import numpy as np
import onnx

from search.arrays import Array
from search.data.source import SampleSource
from search.deployment.gap import Gap
from search.runtime.session import Level, Session
from search.work.loaded import Loaded

SAMPLES = 4
TOLERANCE = 1e-4
"""Largest difference of an output relative to its largest absolute value: float32 sums in another order."""


def largest_difference(loaded: Loaded, samples: SampleSource, delivered: bytes) -> float:
    """Return the largest difference of an output relative to its largest absolute value, over a few samples.

    A model that came quantized is compared as the float network it stands for.

    Args:
        loaded: The user's model.
        samples: To run both on.
        delivered: The model of the folder.
    """
    feeding = loaded.feeding
    n = feeding.batch if feeding.fixed else min(SAMPLES, samples.n_samples)
    feeds = samples.batch(np.arange(n) % samples.n_samples)
    is_rounded = loaded.was_quantized
    reference = Session(loaded.template.model, level=Level.PINNED) if is_rounded else loaded.user_session
    expected, found = reference.run(feeds), Session(delivered, level=Level.PINNED).run(feeds)
    return max((_relative(found[name], values) for name, values in expected.items() if name in found), default=0.0)


def with_self_test(model: bytes, difference: float) -> bytes:
    """Return ``model`` with the outcome of the comparison in its metadata."""
    noted = onnx.load_from_string(model)
    told = f"largest difference to the user's model {difference:.3g} of an output's range; tolerance {TOLERANCE:g}"
    noted.metadata_props.add(key="bitbudget.self_test", value=told)
    return bytes(noted.SerializeToString())


def difference_gaps(file: str, difference: float) -> tuple[Gap, ...]:
    """Return a gap where the two differ by more than the tolerance."""
    if difference <= TOLERANCE:
        return ()
    effect = f"its outputs differ from those of your model by up to {difference:.3g} of their range"
    return (Gap(file=file, decision="precision", subjects=(), effect=effect),)


def _relative(found: Array, expected: Array) -> float:
    if not np.issubdtype(expected.dtype, np.floating) or not expected.size:
        return 0.0
    a, b = found.astype(np.float64), expected.astype(np.float64)
    same = np.isfinite(a) & np.isfinite(b)
    size = float(np.max(np.abs(b), where=same, initial=0.0))
    difference = float(np.max(np.abs(a - b), where=same, initial=0.0))
    return difference / size if size else difference
