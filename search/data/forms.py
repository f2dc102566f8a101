"""The ways a stored array can be read as samples of one model input, found from shapes alone.

``S`` is the shape of what is stored, ``D`` that of the model input; sizes agree where either is open.

    stored samples first     S[1:] = D without axis a      one sample per row, batched along axis a
    whole model inputs       S[1:] = D                     one run per row; an axis of size 1 may be the batch
    stored like the model    S without a = D without a     the batch axis of the file is that of the model
    one value                S = D                         the same for every sample
    one value, repeated      S = k copies of D on axis 0   the same
    whole inputs in a row    S = [k·D0, ...]               only where the job names the batch axis

Which of them holds is proven by running the model (``search.runtime.arranging``), never chosen here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from search.arrays import Array
from search.data.inputs import InputInfo
from search.data.layout import InputLayout
from search.spec.job import InputSettings

Sizes = tuple[int | None, ...]
MAX_COMPARED_BYTES = 16 * 2**20
"""Larger arrays are not looked through for being the same in every sample."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to read what is stored for one input.

    Attributes:
        layout: How its samples go into the model.
        n_samples: How many there are; None for a value that all samples share.
        stored_axis: Axis of the stored array along which the samples lie.
        drop: Axis of size 1 in a stored sample that stands for the batch axis.
        block: Rows of axis 0 that make one sample; 0 where a row is one.
        effort: 0 for the documented form (samples first, batch first), more for others.
    """

    layout: InputLayout
    n_samples: int | None
    stored_axis: int = 0
    drop: int | None = None
    block: int = 0
    effort: int = 0

    def arrange(self, array: Array) -> Array:
        """Return the stored array as ``[n, *sample]``, a shared value as the model takes it; views where possible."""
        if self.layout.constant:
            rank = len(self.layout.shape)
            value = array[: self.block] if self.block else array
            return value if value.ndim == rank else (value[0] if value.ndim > rank else value.reshape((1,) * rank))
        if self.block:
            array = array.reshape(-1, self.block, *array.shape[1:])
        return self.rows(np.moveaxis(array, self.stored_axis, 0))

    def rows(self, array: Array) -> Array:
        """Take the axis that stands for the batch out of samples ``[n, *stored]``."""
        return array if self.drop is None else array.squeeze(self.drop + 1)


def forms_of(
    info: InputInfo, stored: Sizes, settings: InputSettings | None, *, array: Array | None = None
) -> tuple[Form, ...]:
    """Return every way to read what is stored, the documented one first.

    Args:
        info: The model input.
        stored: Shape of what is stored; axis 0 is the sample where ``array`` is None (a folder of files).
        settings: What the job says of the input.
        array: The stored array, where it is one.
    """
    declared = declared_shape(info, settings)
    free = InputLayout(info.name, info.dtype, declared)
    found = list(_stacked(free, stored))
    found += _whole(free, stored)
    if array is not None:
        found += _like_the_model(free, stored, is_stated=settings is not None and settings.axis != "auto")
        found += _shared(free, array, is_stated=settings is not None and settings.constant == "data")
    wanted: int | Literal["auto"] | None = "auto" if settings is None else settings.axis
    if wanted != "auto":
        found = [one for one in found if not one.layout.constant and one.layout.axis == wanted]
        if array is not None:
            found += _blocks(replace(free, axis=wanted), stored)
    if settings is not None and settings.constant == "data":
        found = [one for one in found if one.layout.constant]
    return tuple(sorted(found, key=lambda one: one.effort))


def declared_shape(info: InputInfo, settings: InputSettings | None) -> Sizes:
    """Sizes of an input as the model declares them, open ones as the job says.

    A 1 that the job gives for an open axis leaves it open: it stands where the samples are counted.
    """
    given = None if settings is None else settings.shape
    if given is None or len(given) != len(info.shape):
        return info.shape
    return tuple(
        known if known is not None else (None if size == 1 else size)
        for known, size in zip(info.shape, given, strict=True)
    )


def constant_form(info: InputInfo, settings: InputSettings) -> tuple[Form, Array]:
    """The form and the value of an input that the job gives.

    Raises:
        ValueError: If the value does not fit the shape or the type of the input.
    """
    value = settings.constant
    shape = tuple(1 if size is None else size for size in declared_shape(info, settings))
    given = np.asarray(value)
    made = given.astype(info.dtype)
    if not np.array_equal(made.astype(np.float64), given.astype(np.float64)) and info.dtype.kind in "iub":
        raise ValueError(f"{value} is no value of type {info.dtype.name}")
    layout = InputLayout(info.name, info.dtype, declared_shape(info, settings), axis=None, constant=True)
    return Form(layout, None), np.ascontiguousarray(np.broadcast_to(made, shape)).reshape(shape)


def agrees(found: Sizes, wanted: Sizes) -> bool:
    """Whether two shapes can be the same; None is any size."""
    return len(found) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(found, wanted, strict=True)
    )


def _stacked(free: InputLayout, stored: Sizes) -> Iterator[Form]:
    """Samples first; the model's batch axis may be any, but not one of fixed size where axis 0 is open."""
    for axis, size in enumerate(free.shape):
        if axis and size not in (None, 1) and free.shape[0] is None:
            continue
        layout = replace(free, axis=axis)
        if stored and agrees(stored[1:], layout.sample_shape):
            yield Form(layout, stored[0], effort=_axis_effort(layout))


def _whole(free: InputLayout, stored: Sizes) -> Iterator[Form]:
    """Every sample has the model's own rank: with an axis of size 1 for the batch, or without any."""
    if not stored or not agrees(stored[1:], free.shape):
        return
    for axis, size in enumerate(free.shape):
        if size in (None, 1) and stored[axis + 1] == 1:
            yield Form(replace(free, axis=axis), stored[0], drop=axis, effort=_axis_effort(replace(free, axis=axis)))
    yield Form(replace(free, axis=None), stored[0], effort=1)


def _like_the_model(free: InputLayout, stored: Sizes, *, is_stated: bool) -> Iterator[Form]:
    """The model's own open axis; where axis 0 is open, too, samples are taken to lie there."""
    for axis in range(1, len(free.shape)):
        layout = replace(free, axis=axis)
        if not is_stated and (free.shape[axis] is not None or free.shape[0] is None):
            continue
        rest = (*stored[:axis], *stored[axis + 1 :])
        if len(stored) == len(free.shape) and agrees(rest, layout.sample_shape):
            yield Form(layout, stored[axis], stored_axis=axis, effort=3)


def _shared(free: InputLayout, array: Array, *, is_stated: bool) -> Iterator[Form]:
    layout = replace(free, axis=None, constant=True)
    stored, declared = array.shape, free.shape
    single = array.size == 1 and all(size in (None, 1) for size in declared)
    if stored == declared or single or (is_stated and agrees(stored, declared)):  # an open size could count samples
        yield Form(layout, None, effort=2)
    elif stored and agrees(stored[1:], declared) and _is_repeated(array, 1):
        yield Form(layout, None, block=1, effort=0)
    elif declared and declared[0] is not None and stored and agrees(stored[1:], declared[1:]):
        block = declared[0]
        if block and stored[0] > block and stored[0] % block == 0 and _is_repeated(array, block):
            yield Form(layout, None, block=block, effort=0 if block == 1 else 2)


def _blocks(layout: InputLayout, stored: Sizes) -> Iterator[Form]:
    """Whole model inputs one behind the other on axis 0."""
    block = layout.shape[0] if layout.shape and layout.axis != 0 else None
    if block and stored and stored[0] and stored[0] % block == 0 and agrees(stored[1:], layout.shape[1:]):
        drop = layout.axis
        if drop is None or stored[drop] == 1:
            yield Form(layout, stored[0] // block, drop=drop, block=block, effort=4)


def _axis_effort(layout: InputLayout) -> int:
    size = layout.per_run
    if layout.axis == 0:
        return 0 if size is None else 1
    return 1 if size is None or size == 1 else 2


def _is_repeated(array: Array, block: int) -> bool:
    """Whether every block of axis 0 equals the first."""
    if array.nbytes > MAX_COMPARED_BYTES or len(array) <= block:
        return False
    blocks = array.reshape(-1, block, *array.shape[1:])
    return bool((blocks == blocks[:1]).all())
