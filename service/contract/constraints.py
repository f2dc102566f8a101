"""What values of a body must be, as annotations that the server's validator asks; the client passes them over.

The validator calls ``__get_pydantic_core_schema__`` of an annotation, so nothing here needs it to be installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

Schema = dict[str, Any]
Handler = Callable[[Any], Schema]


@dataclass(frozen=True)
class Constraint:
    """Keys of the validator's schema; None is left out."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Handler) -> Schema:
        """Return the schema of the annotated type with these keys."""
        mine = {name: value for name, value in vars(self).items() if value is not None}
        return {**handler(source), **mine}


@dataclass(frozen=True)
class Text(Constraint):
    """Characters of a text, and what it must match; numbers are not turned into texts."""

    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    strict: bool = True


@dataclass(frozen=True)
class Whole(Constraint):
    """A whole number; neither a text nor a float with an integer value."""

    ge: int | None = None
    lt: int | None = None
    strict: bool = True


@dataclass(frozen=True)
class Number(Constraint):
    """A finite number within bounds."""

    ge: float | None = None
    le: float | None = None
    strict: bool = True
    allow_inf_nan: bool = False


@dataclass(frozen=True)
class Exactly(Constraint):
    """A value of just this JSON type."""

    strict: bool = True


@dataclass(frozen=True)
class Count(Constraint):
    """How many entries there may be."""

    min_length: int | None = None
    max_length: int | None = None


@dataclass(frozen=True)
class Zoned(Constraint):
    """A moment with its time zone."""

    tz_constraint: str = "aware"


Digest = Annotated[str, Text(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 as 64 hexadecimal digits."""
Name = Annotated[str, Text(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
RelativePath = Annotated[str, Text(min_length=1, max_length=512)]
Url = Annotated[str, Text(min_length=9, max_length=2000, pattern=r"^https?://[!-~]+$")]
