"""One line per mistake in a spec: where it is, what was expected, what was found, and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search.spec.suggestion import did_you_mean

MAX_SHOWN = 5
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
    "none_required": "null",
}
Pointer = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of a spec.

    Attributes:
        pointer: Keys and indices that lead to it.
        message: What is wrong there, without the place.
    """

    pointer: Pointer
    message: str


def validation_text(error: ValidationError, value: Any, *, where: str, model: type[BaseModel]) -> str:
    """Return all mistakes of ``value`` as one line.

    Args:
        error: What ``model`` raised for ``value``.
        value: The mapping that was checked.
        where: What the user knows it by, such as the file name.
        model: Root model, for the known keys.
    """
    found = list(_by_pointer(error, value).items())
    lines = [_line(pointer, details, model) for pointer, details in found[:MAX_SHOWN]]
    more = f"; and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
    return f"{where}: {'; '.join(lines)}{more}."


def mistakes(
    error: ValidationError, value: Any, *, model: type[BaseModel], most: int
) -> tuple[tuple[Mistake, ...], int]:
    """Return the first ``most`` mistakes of ``value``, each with its place, and how many there are altogether.

    Only what is returned is explained: looking for the nearest known key costs more than checking the key.

    Args:
        error: What ``model`` raised for ``value``.
        value: The mapping that was checked.
        model: Root model, for the known keys.
        most: How many to explain.
    """
    found = _by_pointer(error, value)
    explained = tuple(
        Mistake(pointer, _line(pointer, details, model).removeprefix(f"{pointer_text(pointer)}: "))
        for pointer, details in islice(found.items(), most)
    )
    return explained, len(found)


def _by_pointer(error: ValidationError, value: Any) -> dict[Pointer, list[ErrorDetails]]:
    found: dict[Pointer, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False, include_context=True):
        found.setdefault(_pointer(detail, value), []).append(detail)
    return found


def pointer_text(pointer: Sequence[str | int]) -> str:
    """Return ``goal[0].max_drop`` for ``("goal", 0, "max_drop")``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in pointer)
    return text.removeprefix(".")


def _pointer(detail: ErrorDetails, value: Any) -> Pointer:
    """Keep the parts of a location that exist in the value: pydantic adds the names of union members to it."""
    pointer: list[str | int] = []
    for part in detail["loc"]:
        is_index = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_index or (isinstance(value, Mapping) and part in value):
            value = value[part]
        elif detail["type"] != "missing" or part != detail["loc"][-1]:
            continue
        pointer.append(part)
    return tuple(pointer)


def _line(pointer: Pointer, details: list[ErrorDetails], model: type[BaseModel]) -> str:
    path = pointer_text(pointer)
    first = details[0]
    if first["type"] == "extra_forbidden":
        return f"unknown key '{path}'{_suggestion(pointer, model)}"
    if first["type"] == "missing":
        return f"'{path}' is missing"
    specific = [detail for detail in details if detail["type"] == "value_error"]
    if specific:
        return f"{path}: {specific[0]['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    expected = " or ".join(dict.fromkeys(_expected(detail) for detail in details))
    return f"{path}: must be {expected}, got {_shown(first['input'])}"


def _expected(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "literal_error":
        choices = context["expected"].replace(" or ", ", ")
        return f"one of {choices}" if "," in choices else str(choices)
    bounds = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
    if detail["type"] in bounds:
        words = (
            detail["type"]
            .replace("_", " ")
            .replace("greater than equal", "at least")
            .replace("less than equal", "at most")
        )
        return f"{words} {context[bounds[detail['type']]]:g}"
    return _EXPECTED.get(detail["type"], detail["msg"])


def _shown(value: Any) -> str:
    text = (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def _suggestion(pointer: Pointer, model: type[BaseModel]) -> str:
    keys = known_keys(model, pointer[:-1])
    return f"{did_you_mean(str(pointer[-1]), keys)}; known there: {', '.join(keys)}" if keys else ""


def known_keys(model: type[BaseModel], pointer: Sequence[str | int]) -> list[str]:
    """Return the keys that may stand at ``pointer`` below ``model``; empty where any key may."""
    models: list[type[BaseModel]] = [model]
    for part in pointer:
        models = [inner for outer in models for inner in _step(outer, part)]
    return [field.alias or name for outer in models[:1] for name, field in outer.model_fields.items()]


def _step(model: type[BaseModel], part: str | int) -> Iterable[type[BaseModel]]:
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            return _models_in(field.annotation)
    return (model,)  # an index of a list or a free key of a mapping: the element's model was found already


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for argument in get_args(annotation) for inner in _models_in(argument)]
