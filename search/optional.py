"""Libraries that an extra brings: loaded on first use; where one is missing, one line says how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from search.errors import UsageError


class OptionalModule(ModuleType):
    """Stands for a library until somebody uses it.

    ``optuna = OptionalModule("optuna", extra="optuna")`` costs nothing; ``optuna.create_study`` loads the library.
    """

    def __init__(self, name: str, *, extra: str) -> None:
        super().__init__(name)
        self._extra = extra

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the library.

        Raises:
            UsageError: If it is not installed.
        """
        if name.startswith("__"):  # what inspection asks of every object loads nothing
            raise AttributeError(name)
        return getattr(load_optional(self.__name__, extra=self._extra), name)


def load_optional(name: str, *, extra: str) -> ModuleType:
    """Return the library ``name``.

    Args:
        name: What to import.
        extra: The extra of bitbudget that brings it.

    Raises:
        UsageError: If it is not installed; the text is the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise  # the library is there, but broken
        raise UsageError(missing_extra(name, extra)) from None


def missing_extra(library: str, extra: str) -> str:
    """Return the line that says how to install what is missing."""
    return f"{library} is not installed. Install it with: pip install 'bitbudget[{extra}]'"
