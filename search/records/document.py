"""Records as JSON and back: the fields of a frozen dataclass are the keys of its object.

A key that is missing gives the field's default, or None where the field may be None; a key that no field has is
ignored, so that files of a later version still open. Numbers that JSON cannot carry become null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def key(name: str, *, default: Any = MISSING) -> Any:
    """A field whose key in JSON is a word of Python's."""
    return field(default=default, metadata={"key": name})


def read(kind: type[T], document: object, where: str = "") -> T:
    """Return the record of a JSON object.

    Args:
        kind: A frozen dataclass.
        document: The value of ``json.loads``.
        where: Path of the value, for the error.

    Raises:
        ValueError: If a value has another type than its field, or is a word that is not known; names the path.
    """
    if not isinstance(document, Mapping):
        raise ValueError(f"{where or kind.__name__} is {_told(document)}, where an object is expected.")
    hints = _hints(kind)  # type: ignore[arg-type]
    found = {}
    for one in fields(kind):  # type: ignore[arg-type]
        name = _key(one)
        place = f"{where}.{name}" if where else name
        if name in document:
            found[one.name] = _value(hints[one.name], document[name], place)
        elif one.default is MISSING and one.default_factory is MISSING:
            found[one.name] = _value(hints[one.name], None, place)
    return kind(**found)


def to_json(record: object) -> Any:
    """Return the JSON value of a record, or of what its fields hold."""
    if is_dataclass(record) and not isinstance(record, type):
        return {_key(one): to_json(getattr(record, one.name)) for one in fields(record)}
    if isinstance(record, Enum):
        return record.value
    if isinstance(record, datetime):
        return record.isoformat()
    if isinstance(record, Mapping):
        return {str(name): to_json(value) for name, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_json(value) for value in record]
    return None if isinstance(record, float) and not math.isfinite(record) else record


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _key(one: Field[Any]) -> str:
    return str(one.metadata.get("key", one.name))


def _value(kind: Any, value: object, where: str) -> Any:
    if kind is Any or kind is object:
        return value
    if is_dataclass(kind):
        return read(kind, value, where)  # type: ignore[arg-type]
    origin, inner = get_origin(kind), get_args(kind)
    return _plain(kind, value, where) if origin is None else _of_generic(origin, inner, value, where)


def _of_generic(origin: Any, inner: Sequence[Any], value: object, where: str) -> Any:
    if origin in (Union, UnionType):
        return _of_union(inner, value, where)
    if origin is Literal:
        return _word(inner, value, where)
    if origin is tuple:
        return _of_tuple(inner, value, where)
    entries = _expect(value, Mapping, "an object", where)
    return {str(name): _value(inner[1], entry, f"{where}.{name}") for name, entry in entries.items()}


def _of_union(kinds: Sequence[Any], value: object, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    left = [kind for kind in kinds if kind is not NoneType]
    for kind in left[:-1]:
        if isinstance(kind, type) and isinstance(value, kind):
            return value
    return _value(left[-1], value, where)


def _of_tuple(inner: Sequence[Any], value: object, where: str) -> tuple[Any, ...]:
    entries = _expect(value, (list, tuple), "a list", where)
    kinds = [inner[0]] * len(entries) if inner[-1] is Ellipsis else inner
    if len(kinds) != len(entries):
        raise ValueError(f"{where} has {len(entries)} entries, where {len(kinds)} are expected.")
    return tuple(
        _value(kind, entry, f"{where}[{n}]") for n, (kind, entry) in enumerate(zip(kinds, entries, strict=True))
    )


def _plain(kind: Any, value: object, where: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(_word([one.value for one in kind], value, where))
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} is {_told(value)}, where {_WORDS.get(kind, kind.__name__)} is expected.")
    return value


def _word(words: Sequence[Any], value: object, where: str) -> Any:
    if value not in words:
        raise ValueError(f"{where} is {_told(value)}, which is none of {', '.join(map(str, words))}.")
    return value


_WORDS = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}


def _expect(value: object, kind: Any, word: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{where} is {_told(value)}, where {word} is expected.")
    return value


def _told(value: object) -> str:
    return "missing" if value is None else f"{value!r:.60}"
