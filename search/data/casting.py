"""Whether what is stored fits a model input: a type that casts without loss, and what is said of one that does not."""

from __future__ import annotations

import numpy as np

from search.arrays import DType
from search.data.forms import Sizes, declared_shape
from search.data.inputs import InputInfo, shape_text
from search.errors import InvalidDataError
from search.spec.job import InputSettings


def check_type(where: str, info: InputInfo, found: DType) -> None:
    """Refuse a cast that could lose values; uint8 or float16 to float32 and narrow to wide integers are fine.

    Raises:
        InvalidDataError: Names both types.
    """
    if np.can_cast(found, info.dtype, "safe"):
        return
    raise InvalidDataError(
        f"{where}: {info.name!r} is {found.name}, but the model wants {info.dtype.name}, "
        f"and that cast could lose values. "
        f"Convert it yourself with x.astype(np.{info.dtype.name})."
    )


def shape_error(where: str, info: InputInfo, stored: Sizes, settings: InputSettings | None) -> InvalidDataError:
    """What is said where no axis of what is stored can be the sample."""
    declared = declared_shape(info, settings)
    wanted = shape_text(declared[1:], first="N") if declared else "one number"
    key = ""
    if settings is not None and settings.axis != "auto":
        axis = "none" if settings.axis is None else settings.axis
        key = f" (model input {shape_text(declared)}, inputs.{info.name}.batch_axis {axis})"
    return InvalidDataError(
        f"{where}: {info.name!r} is {shape_text(stored)} with the samples first, but the model wants {wanted}{key}. "
        f"{_shape_hint(stored, declared[1:])}"
    )


def _shape_hint(stored: Sizes, wanted: Sizes) -> str:
    if not stored:
        return "Store one value per sample."
    found = stored[1:]
    if len(found) + 1 == len(wanted):
        return "If it is one sample, add the sample axis: x[None]; else add the axis that is missing."
    if len(found) == len(wanted) == 3 and (found[2], found[0], found[1]) == wanted:
        return "It looks like NHWC: x.transpose(0, 3, 1, 2)."
    if len(found) == len(wanted) == 3 and (found[1], found[2], found[0]) == wanted:
        return "It looks like NCHW: x.transpose(0, 2, 3, 1)."
    return "Bring each sample to the model's shape."
