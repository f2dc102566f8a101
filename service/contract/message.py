"""What all answers and all bodies have in common, and the forms of lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast

RowT = TypeVar("RowT")
Values = Mapping[str, Any]
"""A JSON object whose keys are open: expect ones you do not know."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server says. All keys are always there; what has no value is null."""

    @property
    def raw(self) -> Values:
        """The JSON object it was read from, with what a newer server added; empty where it was made."""
        return cast(Values, self.__dict__.get("_raw", {}))


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a client sends: nothing is converted, nothing unknown is let pass."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Items(Generic[RowT]):
    """A list that is always whole."""

    items: tuple[RowT, ...]


@dataclass(frozen=True)
class Found(Generic[RowT]):
    """What a study has found so far; `complete` once it has ended."""

    items: tuple[RowT, ...]
    complete: bool


@dataclass(frozen=True)
class Page(Generic[RowT]):
    """A part of a list; `next` is the cursor of the rest, null at the end."""

    items: tuple[RowT, ...]
    next: str | None
