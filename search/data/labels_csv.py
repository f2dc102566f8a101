"""Labels of an image directory from its ``labels.csv``: ``file,label`` lines, or a header that names further columns.

With a header the first column is the file and every other column a label key. Without one there are two columns and
the key is ``labels``. Whole numbers become int64, others float64.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from search.arrays import Array
from search.errors import InvalidDataError
from search.spec.suggestion import did_you_mean

CSV_NAME = "labels.csv"
MAX_CSV_BYTES = 256 * 2**20


def read_labels_csv(root: Path, files: Sequence[Path]) -> dict[str, Array]:
    """Return the labels in the order of ``files``.

    Args:
        root: The directory that holds ``labels.csv``.
        files: Images below it; the csv names each by its path relative to ``root``.

    Raises:
        InvalidDataError: If the csv cannot be read, names a file twice or one that does not exist, lacks one, or
        holds a
            label that is no number.
    """
    rows = _rows(root)
    keys = ["labels"]
    if rows and len(rows[0]) >= 2 and not _is_number(rows[0][1]):
        keys = ["labels" if key in ("label", "labels") else key for key in rows[0][1:]]
        rows = rows[1:]
    by_file = _by_file(root, rows, n_columns=1 + len(keys))
    table = [_row_of(root, path, by_file) for path in files]
    known = {path.relative_to(root).as_posix() for path in files}
    stray = next((name for name in by_file if name not in known), None)
    if stray is not None:
        raise InvalidDataError(f"{root.name}/{CSV_NAME}: there is no image {stray!r}{did_you_mean(stray, known)}.")
    return {key: _numbers(root, [row[column] for row in table]) for column, key in enumerate(keys)}


def _rows(root: Path) -> list[list[str]]:
    path = root / CSV_NAME
    if path.stat().st_size > MAX_CSV_BYTES:
        raise InvalidDataError(f"{root.name}/{CSV_NAME}: has more than {MAX_CSV_BYTES} bytes.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [[cell.strip() for cell in row] for row in csv.reader(stream) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidDataError(f"{root.name}/{CSV_NAME}: cannot be read as CSV in UTF-8 ({error}).") from None


def _by_file(root: Path, rows: list[list[str]], *, n_columns: int) -> dict[str, list[str]]:
    by_file: dict[str, list[str]] = {}
    for row in rows:
        if len(row) != n_columns:
            raise InvalidDataError(
                f"{root.name}/{CSV_NAME}: {','.join(row)[:60]!r} has {len(row)} columns; "
                f"{n_columns} are expected (file,label)."
            )
        if row[0] in by_file:
            raise InvalidDataError(f"{root.name}/{CSV_NAME}: names {row[0]!r} twice.")
        by_file[row[0]] = row[1:]
    return by_file


def _row_of(root: Path, path: Path, by_file: dict[str, list[str]]) -> list[str]:
    name = path.relative_to(root).as_posix()
    if name not in by_file:
        raise InvalidDataError(
            f"{root.name}/{CSV_NAME}: has no line for the image {name!r}. Add one or remove the image."
        )
    return by_file[name]


def _numbers(root: Path, cells: list[str]) -> Array:
    wrong = next((cell for cell in cells if not _is_number(cell)), None)
    if wrong is not None:
        raise InvalidDataError(
            f"{root.name}/{CSV_NAME}: the label {wrong[:60]!r} is no number. Use class numbers from 0."
        )
    if all(_is_whole(cell) for cell in cells):
        return np.array([int(cell) for cell in cells], np.int64)
    return np.array([float(cell) for cell in cells], np.float64)


def _is_whole(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal() and len(cell) < 19


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
