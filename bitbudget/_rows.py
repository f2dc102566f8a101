"""Rows of a table as plain values, and as a pandas DataFrame where pandas is installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from search.errors import UsageError


class Rows(tuple[Mapping[str, Any], ...]):
    """A table: one mapping from column to value per row, all with the same columns."""

    __slots__ = ()

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a column per key.

        Raises:
            UsageError: If pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ModuleNotFoundError:
            raise UsageError("pandas is not installed. Install it with: pip install pandas") from None
        return pandas.DataFrame([dict(row) for row in self])
