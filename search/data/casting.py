"""A source in the types the model wants.

Only casts that keep every value happen: uint8 or float16 to float32, narrow to wide integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.data.inputs import InputInfo, shape_text
from search.data.names import check_names
from search.data.source import Array, Indices, SampleLayout, SampleSource
from search.errors import InvalidDataError


@dataclass(frozen=True, eq=False)
class CastSource:
    """``source`` with each input cast to the type of ``layout``, batch by batch."""

    source: SampleSource
    layout: Mapping[str, SampleLayout]

    @property
    def name(self) -> str:
        """What the user knows the set by."""
        return self.source.name

    @property
    def digest(self) -> str:
        """SHA-256 of the content as stored; the casts follow from the model."""
        return self.source.digest

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.source.n_samples

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return self.source.label_keys

    def batch(self, indices: Indices) -> dict[str, Array]:
        """Return the inputs of these samples in the model's types."""
        arrays = self.source.batch(indices)
        return {name: arrays[name].astype(sample.dtype, copy=False) for name, sample in self.layout.items()}

    def labels(self, key: str) -> Array:
        """Return all labels under ``key``, as stored."""
        return self.source.labels(key)


def fit_source(source: SampleSource, inputs: Sequence[InputInfo]) -> CastSource:
    """Return the source as the model wants it: its inputs only, in its types.

    Raises:
        InvalidDataError: If an input is missing, there is no sample, or a shape or type does not fit.
    """
    check_names(source.name, source.layout, inputs)
    if source.n_samples == 0:
        raise InvalidDataError(
            f"{source.name}: holds no sample. Axis 0 of every input is the sample; give at least one."
        )
    for info in inputs:
        _check_shape(source.name, info, source.layout[info.name])
        _check_type(source.name, info, source.layout[info.name])
    return CastSource(source, {info.name: SampleLayout(info.dtype, source.layout[info.name].shape) for info in inputs})


def _check_shape(where: str, info: InputInfo, found: SampleLayout) -> None:
    wanted = info.sample_shape
    if len(found.shape) == len(wanted) and all(_same(a, b) for a, b in zip(found.shape, wanted, strict=True)):
        return
    raise InvalidDataError(
        f"{where}: {info.name!r} is {shape_text(found.shape, first='N')} with the samples first, but the model wants "
        f"{shape_text(wanted, first='N')}. {_shape_hint(found.shape, wanted)}"
    )


def _same(found: int | None, wanted: int | None) -> bool:
    return found is None or wanted is None or found == wanted


def _shape_hint(found: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> str:
    if len(found) + 1 == len(wanted):
        return "If it is one sample, add the sample axis: x[None]; else add the axis that is missing."
    if len(found) == len(wanted) + 1 and found[0] == 1:
        return "Drop the batch axis of each sample: x[:, 0]."
    if len(found) == len(wanted) == 3 and (found[2], found[0], found[1]) == wanted:
        return "It looks like NHWC: x.transpose(0, 3, 1, 2)."
    if len(found) == len(wanted) == 3 and (found[1], found[2], found[0]) == wanted:
        return "It looks like NCHW: x.transpose(0, 2, 3, 1)."
    return "Bring each sample to the model's shape."


def _check_type(where: str, info: InputInfo, found: SampleLayout) -> None:
    if np.can_cast(found.dtype, info.dtype, "safe"):
        return
    raise InvalidDataError(
        f"{where}: {info.name!r} is {found.dtype.name}, but the model wants {info.dtype.name}, "
        f"and that cast could lose values. "
        f"Convert it yourself with x.astype(np.{info.dtype.name})."
    )
