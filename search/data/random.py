"""Random samples for a run without data: floats standard normal, signed integers -10..9, unsigned 1..9, bool 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.canonical import digest_json
from search.data.arrays import ArraySource
from search.data.inputs import InputInfo, shape_text
from search.data.source import Array
from search.errors import UsageError

DEFAULT_SAMPLES = 64


def random_source(inputs: Sequence[InputInfo], *, seed: int, n_samples: int = DEFAULT_SAMPLES) -> ArraySource:
    """Return random samples; each input has a stream of its own, so one input's values do not depend on the others.

    Raises:
        UsageError: If the size of an axis other than the batch is not known.
    """
    arrays: dict[str, Array] = {}
    for position, info in enumerate(inputs):
        shape = (n_samples, *_sizes(info))
        arrays[info.name] = _draw(np.random.default_rng([seed, position]), info.dtype, shape)
    described = [[info.name, info.dtype.name, list(info.sample_shape)] for info in inputs]
    return ArraySource("random", arrays, digest_json({"random": described, "seed": seed, "n_samples": n_samples}))


def _sizes(info: InputInfo) -> tuple[int, ...]:
    sizes = tuple(size for size in info.sample_shape if size is not None)
    if len(sizes) != len(info.sample_shape):
        raise UsageError(
            f"--calibration random needs fixed sizes, but input {info.name!r} is "
            f"{shape_text(info.sample_shape, first='N')}. "
            f"Export the model with fixed sizes, or give data."
        )
    return sizes


def _draw(rng: np.random.Generator, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> Array:
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    low, high = {"i": (-10, 10), "u": (1, 10), "b": (0, 2)}[dtype.kind]
    return rng.integers(low, high, shape).astype(dtype)
