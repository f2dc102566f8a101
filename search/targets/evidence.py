"""What every statement in a target file carries: how certain it is, where it comes from, and for which tool-chains.

Certainty: ``C`` read in a vendor's document, ``C-old`` the same for an older version, ``U`` seen in users' code,
``I`` inferred here, ``?`` conflicting or not found. See docs/targets.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from search.errors import UsageError
from search.targets.toolchain import in_window, parse_version

Certainty = Literal["C", "C-old", "U", "I", "?"]


def _version(text: str) -> str:
    try:
        parse_version(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return text


Version = Annotated[str, AfterValidator(_version)]


class Table(BaseModel):
    """A table of a target file: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Stated(Table):
    """A table with its evidence."""

    certainty: Certainty
    source: str
    note: str = ""


Route = Literal["hmct", "plugin"]
"""How a network gets to a Horizon chip: from ONNX through HMCT, or from PyTorch through the plugin."""


class Gated(Stated):
    """A statement that holds for some tool-chains only: from ``toolchain_min`` on, below ``toolchain_below``.

    With a ``route`` it holds on that way to the chip only.
    """

    toolchain_min: Version | None = None
    toolchain_below: Version | None = None
    route: Route | None = None

    def holds(self, toolchain: str | None, route: Route | None = None) -> bool:
        """Whether the statement holds for this tool-chain and route."""
        return self.is_on(route) and in_window(toolchain, lowest=self.toolchain_min, below=self.toolchain_below)

    def is_on(self, route: Route | None) -> bool:
        """Whether the statement is about this route; without one, those of every route are."""
        return self.route is None or route is None or self.route == route
