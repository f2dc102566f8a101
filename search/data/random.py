"""Random samples for a run without data: floats standard normal, signed integers -10..9, unsigned 1..9, bool 0 or 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from search.arrays import Array, DType
from search.canonical import digest_json
from search.data.forms import Sizes, declared_shape
from search.data.inputs import InputInfo, shape_text
from search.data.stored import StoredArrays
from search.errors import InvalidModelError, UsageError
from search.spec.job import InputSettings

DEFAULT_SAMPLES = 64
MAX_BYTES = 2**30
"""Of all random samples together, as they are drawn (8 bytes a number); fewer samples are drawn to stay below."""
LEAST_SAMPLES = 2
"""So many show which axis is the sample."""
_DRAWN_BYTES = 8


def random_samples(
    inputs: Sequence[InputInfo],
    *,
    seed: int,
    n_samples: int = DEFAULT_SAMPLES,
    settings: Mapping[str, InputSettings] | None = None,
) -> StoredArrays:
    """Return random samples; each input has a stream of its own, so one input's values do not depend on the others.

    The sample is on axis 0. The model's batch axis is left out: axis 0 where it is open or 1, else the only open axis.
    An input of fixed sizes only is drawn as a whole, which a run takes one of.

    Raises:
        UsageError: If the size of an axis other than the batch is not known.
        InvalidModelError: If the samples would not fit ``MAX_BYTES`` if only two were drawn.
    """
    settings = settings or {}
    shapes = {info.name: _sizes(info, settings.get(info.name)) for info in inputs}
    drawn = [info for info in inputs if info.name not in settings or not settings[info.name].has_value]
    n_samples = _affordable(drawn, shapes, n_samples)
    arrays = {
        info.name: _draw(np.random.default_rng([seed, position]), info.dtype, (n_samples, *shapes[info.name]))
        for position, info in enumerate(inputs)
        if info in drawn
    }
    described = [[info.name, info.dtype.name, list(shapes[info.name])] for info in inputs]
    digest = digest_json({"random": described, "seed": seed, "n_samples": n_samples})
    return StoredArrays("random", arrays, digest, {})


def _affordable(inputs: Sequence[InputInfo], shapes: Mapping[str, tuple[int, ...]], n_samples: int) -> int:
    """Return how many of ``n_samples`` fit."""
    numbers = {info.name: prod(shapes[info.name]) for info in inputs}
    fit = MAX_BYTES // _DRAWN_BYTES
    total = sum(numbers.values())
    most = fit // LEAST_SAMPLES
    if total > most:
        largest = max(inputs, key=lambda info: numbers[info.name])
        raise InvalidModelError(
            f"One random sample of all inputs has {total} numbers, most of them in {largest.name!r} "
            f"{shape_text(largest.shape)}; the limit is {most}. Give data with --calibration, or export smaller inputs."
        )
    return n_samples if total == 0 else min(n_samples, fit // total)


def _sizes(info: InputInfo, settings: InputSettings | None) -> tuple[int, ...]:
    declared = declared_shape(info, settings)
    wanted = _without_batch(declared, settings)
    sizes = tuple(size for size in wanted if size is not None)
    if len(sizes) != len(wanted):
        example = "x".join(str(size or "?") for size in (1, *wanted))
        raise UsageError(
            f"Random samples need sizes, but input {info.name!r} is {shape_text(info.shape)}. "
            f"Give them with --shape {info.name}={example} (inputs.{info.name}.shape in a job file)."
        )
    return sizes


def _without_batch(declared: Sizes, settings: InputSettings | None) -> Sizes:
    axis = "auto" if settings is None else settings.axis
    if axis == "auto":
        open_axes = [a for a, size in enumerate(declared) if size is None]
        only = open_axes[0] if len(open_axes) == 1 else None
        axis = 0 if declared and declared[0] in (None, 1) else only
    return declared if axis is None else (*declared[:axis], *declared[axis + 1 :])


def _draw(rng: np.random.Generator, dtype: DType, shape: tuple[int, ...]) -> Array:
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    low, high = {"i": (-10, 10), "u": (1, 10), "b": (0, 2)}[dtype.kind]
    return rng.integers(low, high, shape).astype(dtype)
