"""Whether a set of samples has every input that the model wants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search.data.inputs import InputInfo, shape_text
from search.errors import InvalidDataError
from search.spec.suggestion import did_you_mean, listing


def check_names(where: str, found: Iterable[str], inputs: Sequence[InputInfo]) -> None:
    """Refuse a set that lacks an input.

    Raises:
        InvalidDataError: Names the first input that is missing, what was found, and what the model wants.
    """
    names = tuple(found)
    for info in inputs:
        if info.name not in names:
            near = did_you_mean(info.name, names)
            raise InvalidDataError(
                f"{where}: has no data for the model input {info.name!r}{near}; found {listing(names)}. "
                f"The model wants {', '.join(_wanted(each) for each in inputs)}; name the data after these inputs."
            )


def _wanted(info: InputInfo) -> str:
    return f"{info.name} ({info.dtype.name} {shape_text(info.sample_shape, first='N')})"
