"""What a study has found: its row, its trials, its tables, its files. Nothing here changes anything."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from search.records.document import read
from search.records.finding import Finding
from service.problems import ServiceError, not_found
from service.store.blobs.errors import BlobNotFoundError
from service.store.blobs.store import BlobStore
from service.store.db import artifacts, studies, trials
from service.store.db.artifacts import Artifact
from service.store.db.ids import is_id
from service.store.db.pages import MAX_PAGE, Order, decode, encode
from service.store.db.studies import Study
from service.store.db.trials import TrialRow
from service.usecases.accounts.principal import Principal

SENSITIVITY, LAYERS, RESULT = "sensitivity.csv", "layers.csv", "result.json"
Cell = str | int | float | bool | None
_TEXTS = frozenset(
    {"output", "metric", "base", "op_name", "sensitive_type", "op_type", "dtype", "group", "name", "node", "tensor"}
    | {"layer", "precision", "format", "type", "why"}
)
"""Columns that stay text, also where a cell looks like a number."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
MAX_TABLE = 256 * 2**20


@dataclass(frozen=True)
class TablePage:
    """Some rows of a table.

    Attributes:
        rows: Column to cell.
        next: Cursor of the rest.
        is_final: Whether the study has ended, so that nothing more will come.
    """

    rows: Sequence[Mapping[str, Cell]]
    next: str | None
    is_final: bool


def get_study(connection: Connection, principal: Principal, study_id: str) -> Study:
    """Return a study of the tenant.

    Raises:
        ServiceError: ``not-found``, also for another tenant's.
    """
    found = studies.get(connection, principal.tenant_id, study_id) if is_id(study_id) else None
    if found is None:
        raise not_found("study")
    return found


def get_trial(connection: Connection, principal: Principal, study_id: str, no: int) -> TrialRow:
    """Return one trial with its details.

    Raises:
        ServiceError: ``not-found``.
    """
    study = get_study(connection, principal, study_id)
    found = trials.get(connection, principal.tenant_id, study.id, no) if 0 <= no < 2**31 else None
    if found is None:
        raise not_found("trial")
    return found


def get_artifact(connection: Connection, principal: Principal, study_id: str, name: str) -> Artifact:
    """Return one delivered file.

    Raises:
        ServiceError: ``not-found``.
    """
    study = get_study(connection, principal, study_id)
    is_plain = 0 < len(name) <= 512 and name.isprintable()
    found = artifacts.get(connection, principal.tenant_id, study.id, name) if is_plain else None
    if found is None:
        raise not_found("artifact")
    return found


def table_page(
    content: bytes | None,
    artifact: Artifact | None,
    *,
    is_final: bool,
    filters: Mapping[str, str | None],
    cursor: str | None,
    limit: int,
) -> TablePage:
    """Return rows of a delivered CSV file.

    Args:
        content: The file; None where it is not there yet.
        artifact: Its row.
        is_final: Whether the study has ended.
        filters: Column to the one value it must have; None takes all.
        cursor: ``next`` of the page before; one of another file or another filter does not fit.
        limit: Most rows.

    Raises:
        ServiceError: ``invalid-cursor``.
    """
    if content is None or artifact is None:
        return TablePage((), None, is_final)
    wanted = {name: value for name, value in filters.items() if value is not None}
    identity = f"{artifact.name}:{artifact.digest}:{json.dumps(wanted, sort_keys=True)}"
    order = Order("table", (), (str, int))
    start = 0
    if cursor is not None:
        given, start = decode(cursor, order)
        if given != _short(identity) or start < 0:
            raise ServiceError(
                "invalid-cursor", "The cursor belongs to another table or filter. Begin again without one."
            )
    rows = [row for row in read_table(content) if all(row.get(name) == value for name, value in wanted.items())]
    end = start + max(1, min(limit, MAX_PAGE))
    following = encode(order, [_short(identity), end]) if end < len(rows) else None
    return TablePage(rows[start:end], following, is_final)


def read_table(content: bytes) -> list[dict[str, Cell]]:
    """Return the rows of a CSV file of ours with numbers as numbers and empty cells as None."""
    reader = csv.reader(io.StringIO(content.decode("utf-8", errors="replace"), newline=""))
    header = [_unquoted(name) for name in next(reader, [])]
    return [{name: _cell(name, text) for name, text in zip(header, row, strict=False)} for row in reader]


def read_file(store: BlobStore, artifact: Artifact | None) -> bytes | None:
    """Return the content of a delivered file; None if there is none, or it is beyond what a table may be."""
    if artifact is None or artifact.size > MAX_TABLE:
        return None
    try:
        return store.read(artifact.digest)
    except BlobNotFoundError:
        return None


def findings_in(content: bytes | None) -> tuple[Finding, ...]:
    """Return the findings of a ``result.json``."""
    document = {} if content is None else json.loads(content)
    return tuple(read(Finding, finding) for finding in document.get("findings", ()))


def _cell(column: str, text: str) -> Cell:
    if text == "":
        return None
    if column in _TEXTS:
        return _unquoted(text)
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if abs(value) < float("inf") else None
    return _unquoted(text)


def _unquoted(text: str) -> str:
    """Take off the apostrophe that keeps a spreadsheet from running a cell."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def _short(identity: str) -> str:
    """A cursor may not be arbitrarily long."""
    return identity[:1000]
