"""CSV that is safe to open: no cell can start a formula.

A text cell that begins with ``= + - @``, a tab or a carriage return is written with an apostrophe before it, the
spreadsheets' own mark for text. Numbers are written as they are, by ``repr``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Cell: TypeAlias = str | int | float | bool | None

_STARTERS = ("=", "+", "-", "@", "\t", "\r")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return UTF-8 with CRLF line ends; None is an empty cell, booleans are ``yes`` and ``no``."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([cell_text(name) for name in header])
    for row in rows:
        writer.writerow([cell_text(cell) for cell in row])
    return buffer.getvalue().encode("utf-8", errors="backslashreplace")


def cell_text(cell: Cell) -> str:
    """Return one cell as text; infinities and NaN, which are no numbers to a spreadsheet, stay readable words."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case int() | float():
            return repr(cell)
        case str():
            return f"'{cell}" if cell.startswith(_STARTERS) else cell
