"""Frozen dataclasses as JSON values and back, field by field, by their annotations.

Nothing of a value can be left out: what is encoded is every field, in every nested dataclass. Identities of work are
digests of it, so a result never comes back for other parameters.
"""

from __future__ import annotations

from typing import TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from search.canonical import Json

T = TypeVar("T")
_ADAPTERS: dict[type, TypeAdapter[object]] = {}
"""Made once per dataclass: making one takes as long as thousands of values."""


def encoded(value: object) -> dict[str, Json]:
    """Return a dataclass as a JSON object: enums by value, tuples as lists, keys as text."""
    fields: dict[str, Json] = _adapter(type(value)).dump_python(value, mode="json")
    return fields


def decoded(cls: type[T], data: Json) -> T:
    """Read what ``encoded`` wrote.

    Args:
        cls: The dataclass.
        data: Its JSON object.

    Raises:
        ValueError: If a field is missing or has another type; names the first one.
    """
    try:
        return _adapter(cls).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"No {cls.__name__}: {where or 'the value'}: {first['msg']}.") from None


def _adapter(cls: type[T]) -> TypeAdapter[T]:
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return cast("TypeAdapter[T]", _ADAPTERS[cls])
