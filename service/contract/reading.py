"""An answer from its JSON object, as the client gets it, and from a row or use case, as the server makes it.

The client refuses nothing: what is missing is None, a word that this version does not know stays the text it is. The
server leaves nothing out: a value without a source is its own mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from service.contract.message import Answer, Page, Values

AnswerT = TypeVar("AnswerT", bound=Answer)
Make = Callable[[type[Any], Any], Any]
"""Makes a dataclass of a source."""
_KNOWN: dict[type[Any], Mapping[str, Any]] = {}


def read(kind: type[AnswerT], document: Values) -> AnswerT:
    """Return the answer that a JSON object is.

    Args:
        kind: Which.
        document: The object; keys that the kind lacks stay in ``raw``.
    """
    value: AnswerT = _read(kind, document)
    return value


def page(kind: type[AnswerT], document: Values) -> Page[AnswerT]:
    """Return a part of a list; of one that is always whole, ``next`` is None."""
    return Page(tuple(read(kind, one) for one in document.get("items") or ()), document.get("next"))


def shaped(kind: type[AnswerT], source: object, **more: object) -> AnswerT:
    """Return the answer about something that has attributes of its fields' names.

    Args:
        kind: Which.
        source: A row, or a value of a use case; inside it, objects with attributes or mappings with keys.
        more: Fields that it lacks.

    Raises:
        AttributeError: If the source lacks a field.
        KeyError: If a mapping does.
    """
    given = {name: _value(hint, _part(source, name), shaped) for name, hint in _hints(kind).items() if name not in more}
    return kind(**given, **more)


def shaped_each(kind: type[AnswerT], sources: Iterable[object]) -> tuple[AnswerT, ...]:
    """Return the answers about several."""
    return tuple(shaped(kind, one) for one in sources)


def _read(kind: type[Any], document: Values) -> Any:
    value = kind(**{name: _value(hint, document.get(name), _read_if_object) for name, hint in _hints(kind).items()})
    value.__dict__["_raw"] = document
    return value


def _read_if_object(kind: type[Any], source: Any) -> Any:
    return _read(kind, source) if isinstance(source, Mapping) else source


def _part(source: object, name: str) -> Any:
    return source[name] if isinstance(source, Mapping) else getattr(source, name)


def _hints(kind: type[Any]) -> Mapping[str, Any]:
    if kind not in _KNOWN:
        hints = get_type_hints(kind)
        _KNOWN[kind] = {one.name: hints[one.name] for one in fields(kind)}
    return _KNOWN[kind]


def _value(hint: Any, value: Any, make: Make) -> Any:
    """Turn what JSON or a row has into what the field says; anything else stays as it is."""
    if value is None:
        return None
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        arms = [one for one in get_args(hint) if one is not NoneType]
        return _value(arms[0], value, make) if len(arms) == 1 else value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(get_args(hint)[0], one, make) for one in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {key: _value(get_args(hint)[1], one, make) for key, one in value.items()}
    return _single(hint, value, make) if isinstance(hint, type) else value


def _single(kind: type[Any], value: Any, make: Make) -> Any:
    if is_dataclass(kind):
        return value if isinstance(value, kind) else make(kind, value)
    if kind is datetime and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return None
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            return value
    return value
