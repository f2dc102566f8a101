"""Why an input behind a connection could not be brought in."""

from __future__ import annotations

from typing import Literal

Blame = Literal["user", "limit", "system"]


class ConnectionInputError(Exception):
    """An input behind a connection cannot be used as it is.

    Attributes:
        blame: Who must act.
    """

    def __init__(self, message: str, blame: Blame = "user") -> None:
        super().__init__(message)
        self.blame: Blame = blame


class ConnectionDownError(Exception):
    """The place behind a connection does not answer, or not as it should; it may do so later."""


class UnwantedError(Exception):
    """Nobody wants the input any more."""
