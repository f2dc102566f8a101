"""Data read in the documented form: the sample on axis 0 of every array, the batch on axis 0 of every input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search.data.casting import check_type, shape_error
from search.data.fed import Fed
from search.data.forms import forms_of
from search.data.inputs import InputInfo
from search.data.open import open_stored
from search.data.stored import Stored, StoredArrays


def documented(stored: Stored, inputs: Sequence[InputInfo]) -> Fed:
    """Read every input in the first form that fits."""
    forms = {}
    for info in inputs:
        check_type(stored.name, info, stored.dtypes[info.name])
        found = forms_of(info, stored.shapes[info.name], None, array=stored.array(info.name))
        if not found:
            raise shape_error(stored.name, info, stored.shapes[info.name], None)
        forms[info.name] = min(found, key=lambda one: (one.layout.constant, one.stored_axis, one.layout.axis or 0))
    return stored.read(forms, {})


def open_documented(path: Path, inputs: Sequence[InputInfo], *args: Any) -> Fed:
    """Open and read a data set in the documented form."""
    return documented(open_stored(path, inputs, *args), inputs)


def arrays(**given: Any) -> StoredArrays:
    """A set of arrays."""
    return StoredArrays("eval.npz", {name: np.asarray(one) for name, one in given.items()}, "0" * 64, {})
