"""The base of every spec model, and the three field types that forgive what YAML does to plain scalars.

``3.20`` in a file is a number to a YAML reader, but a version to its author. The reader (``yaml_text``) hands such
scalars over together with the text that was written; here a text field takes the text, a number field the number.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

ItemT = TypeVar("ItemT")


class WrittenInt(int):
    """A whole number that remembers how it was written."""

    text: str

    @classmethod
    def read(cls, text: str) -> WrittenInt:
        """Return the number that ``text`` spells."""
        number = cls(text)
        number.text = text
        return number


class WrittenFloat(float):
    """A number that remembers how it was written (``3.20``)."""

    text: str

    @classmethod
    def read(cls, text: str) -> WrittenFloat:
        """Return the number that ``text`` spells."""
        number = cls(text)
        number.text = text
        return number


class WrittenSwitch(str):
    """One of the unquoted words on, off, yes, no: text in a text field, true or false in a switch."""

    __slots__ = ()

    @property
    def is_on(self) -> bool:
        """Whether the word means true."""
        return self.lower() in ("on", "yes")


class SpecModel(BaseModel):
    """A part of the job spec: immutable, no silent conversions, no unknown keys, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _as_written(value: Any) -> Any:
    return value.text if isinstance(value, WrittenInt | WrittenFloat) else value


def _as_switch(value: Any) -> Any:
    return value.is_on if isinstance(value, WrittenSwitch) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


Text = Annotated[str, BeforeValidator(_as_written), AfterValidator(_not_blank)]
Switch = Annotated[bool, BeforeValidator(_as_switch)]
Items = Annotated[tuple[ItemT, ...], BeforeValidator(_as_tuple)]


def _ascending(interval: tuple[float, float]) -> tuple[float, float]:
    if not interval[0] < interval[1]:
        raise ValueError(f"the first number must be below the second, got [{interval[0]:g}, {interval[1]:g}]")
    return interval


Interval = Annotated[tuple[float, float], BeforeValidator(_as_tuple), AfterValidator(_ascending)]
