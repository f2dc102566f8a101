"""Measured assignments in files: our own JSON, which says everything, and a CSV ``assignment, measured_us``.

The JSON is what ``bitbudget measure-cost`` writes: networks, assignments, times. The CSV names assignments by digest
(12 digits or more, as in ``trials.csv``); they are looked up among those that are known from elsewhere. Its optional
columns are ``model`` and ``samples`` (of one run).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from search.assignment import Assignment
from search.errors import InvalidDataError
from search.graph.network import Network
from search.targets.fitting.measured import Measured

SCHEMA = "bitbudget.measurements/1"
MIN_DIGITS = 8  # of a digest: fewer may be ambiguous


@dataclass(frozen=True, eq=False)
class Known:
    """An assignment that a digest may name.

    Attributes:
        model: Name of its model.
        network: The model's groups.
        assignment: One precision per group.
    """

    model: str
    network: Network
    assignment: Assignment


def measurements_json(measured: Sequence[Measured], *, target: str, measured_on: str, noise_floor: float) -> str:
    """Return the file of measured assignments.

    Args:
        measured: With network and assignment.
        target: Name of the target they are legal on.
        measured_on: Machine and settings in words.
        noise_floor: Relative difference of two measurements of the same.
    """
    networks = {one.model: one.network for one in measured if one.network is not None}
    rows = [
        {
            "model": one.model,
            "samples": one.samples,
            "assignment": one.assignment.to_json(),
            "digest": one.assignment.digest,
            "measured_us": round(one.microseconds, 3),
        }
        for one in measured
        if one.assignment is not None
    ]
    document = {
        "schema": SCHEMA,
        "target": target,
        "measured_on": measured_on,
        "noise_floor": round(noise_floor, 5),
        "networks": {name: network.to_json() for name, network in networks.items()},
        "measured": rows,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def read_measurements(document: dict[str, Any], *, where: str) -> tuple[Measured, ...]:
    """Read what ``measurements_json`` wrote.

    Raises:
        InvalidDataError: If the file does not have that form.
    """
    try:
        networks = {name: Network.from_json(value) for name, value in document["networks"].items()}
        return tuple(
            Measured(
                model=row["model"],
                microseconds=_positive(row["measured_us"], where),
                samples=int(row["samples"]),
                network=networks[row["model"]],
                assignment=_whole(Assignment.from_json(row["assignment"]), networks[row["model"]], where),
            )
            for row in document["measured"]
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InvalidDataError(
            f"{where}: not a file of measured assignments ({type(error).__name__}: {error}). "
            "Give the file that 'bitbudget measure-cost' wrote."
        ) from None


def read_csv(text: str, known: Iterable[Known], *, where: str) -> tuple[Measured, ...]:
    """Read a CSV of digests and times.

    Args:
        text: Content with a header line.
        known: What the digests may name.
        where: Name of the file, for messages.

    Raises:
        InvalidDataError: If a column is missing, a number is none, or a digest names nothing or several things.
    """
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or ()]
    digest_column = next((name for name in ("assignment", "assignment digest", "digest") if name in columns), None)
    if digest_column is None or "measured_us" not in columns:
        raise InvalidDataError(
            f"{where}: the columns are {', '.join(columns) or 'none'}; 'assignment' (its digest) and 'measured_us' "
            "are needed."
        )
    reader.fieldnames = columns
    candidates = tuple(known)
    return tuple(
        _csv_row(row, digest_column, candidates, f"{where}, line {line}") for line, row in enumerate(reader, start=2)
    )


def _csv_row(row: dict[str, Any], column: str, known: Sequence[Known], where: str) -> Measured:
    digest = (row[column] or "").strip().lower()
    wanted = (row.get("model") or "").strip()
    found = {
        (one.model, one.assignment.digest): one
        for one in known
        if len(digest) >= MIN_DIGITS and one.assignment.digest.startswith(digest) and wanted in ("", one.model)
    }
    if len(found) != 1:
        models = ", ".join(sorted({one.model for one in known})) or "none"
        raise InvalidDataError(
            f"{where}: {digest!r} names {len(found)} of the {len(known)} known assignments (models: {models}). Give "
            f"the runs it comes from with --result, {MIN_DIGITS} digits or more, and a column 'model' if several fit."
        )
    one = next(iter(found.values()))
    return Measured(
        model=one.model,
        microseconds=_positive(row["measured_us"], where),
        samples=_count(row.get("samples"), where),
        network=one.network,
        assignment=one.assignment,
    )


def _count(text: str | None, where: str) -> int:
    if not (text or "").strip():
        return 1
    try:
        count = int(str(text))
    except ValueError:
        count = 0
    if count < 1:
        raise InvalidDataError(f"{where}: samples is {text!r}; a whole number of at least 1 is needed.")
    return count


def _positive(value: object, where: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not 0 < number < float("inf"):
        raise InvalidDataError(f"{where}: measured_us is {value!r}; a positive number of microseconds is needed.")
    return number


def _whole(assignment: Assignment, network: Network, where: str) -> Assignment:
    if len(assignment) != len(network.groups):
        raise InvalidDataError(
            f"{where}: an assignment has {len(assignment)} precisions, its model {len(network.groups)} groups."
        )
    return assignment
