"""Files of measurements as the fit takes them: our own, CSV, and reports of the vendor's tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.assignment import Assignment
from search.errors import InvalidDataError, UsageError
from search.graph.description import CHECK, stored_network
from search.graph.network import Network
from search.precision import Precision
from search.targets.fitting.measured import Measured
from search.targets.fitting.measurement_files import SCHEMA, Known, read_csv, read_measurements
from search.targets.fitting.rates import known_seconds
from search.targets.fitting.reports import Report, parse_report
from search.targets.legalise import Legaliser, uniform
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from service.local.inspection import inspect_model
from service.local.store import RunStore

_MARCHES = ("nash-e", "nash-m", "nash-p", "nash-h")


@dataclass(frozen=True, eq=False)
class Taken:
    """All measurements of a fit.

    Attributes:
        measured: In the order of the files.
        measured_on: What the files say about the machine.
        noise_floor: The largest that a file states, None where none does.
    """

    measured: tuple[Measured, ...]
    measured_on: str
    noise_floor: float | None


def read_all(
    target: Target, files: Sequence[Path], *, results: Sequence[Path] = (), models: Sequence[Path] = ()
) -> Taken:
    """Read every file.

    Args:
        target: What is fitted; assignments must be legal on it.
        files: Measurements.
        results: Output directories of searches: each report belongs to the one at its place, and lines of a CSV may
            name their assignments.
        models: ONNX files whose uniform assignments a CSV may name.

    Raises:
        UsageError: If a path is missing or reports and directories do not pair up.
        InvalidDataError: If a file is not what it should be.
    """
    texts = [(path, _text(path)) for path in files]
    runs = [_run(path, target) for path in results]
    known = (*runs, *(one for run in runs for one in _uniform(run.model, run.network, target)))
    known += tuple(one for path in models for one in _uniform(path.stem, inspect_model(path, target).network, target))
    owners = _owners(texts, runs)
    measured: list[Measured] = []
    stated: list[dict[str, Any]] = []
    for path, text in texts:
        if path.suffix == ".csv":
            measured += read_csv(text, known, where=str(path))
        elif (document := _own(text)) is not None:
            measured += read_measurements(document, where=str(path))
            stated.append(document)
        else:
            measured.append(_of_report(parse_report(text, where=str(path)), next(owners, None), target, str(path)))
    _check_legal(target, measured)
    noise = [document["noise_floor"] for document in stated if isinstance(document.get("noise_floor"), int | float)]
    on = dict.fromkeys(str(document.get("measured_on", "")) for document in stated)
    return Taken(tuple(measured), "; ".join(text for text in on if text), max(noise, default=None))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The measurements {str(path)!r} cannot be read: {error}.") from None


def _own(text: str) -> dict[str, Any] | None:
    """The document, if it is one of ``bitbudget measure-cost``."""
    if SCHEMA not in text[:200]:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("schema") == SCHEMA else None


def _owners(texts: Sequence[tuple[Path, str]], runs: Sequence[Known]) -> Iterator[Known]:
    """Runs that reports belong to, in order: one each, or none at all."""
    n = sum(path.suffix != ".csv" and _own(text) is None for path, text in texts)
    if not n or not runs:
        return iter(())
    if n != len(runs):
        raise UsageError(f"{n} reports and {len(runs)} --result directories: give one directory per report, in order.")
    return iter(runs)


def _run(path: Path, target: Target) -> Known:
    """What a search chose, from its output directory."""
    store = RunStore(path)
    store.read()
    check = next((result for result in store.results.values() if result.kind == CHECK), None)
    try:
        result = json.loads((path / "result.json").read_text())
        nodes: Mapping[str, Any] = result["assignment"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--result {str(path)!r}: result.json cannot be read ({error}). Is the run finished?"
        ) from None
    network = None if check is None else stored_network(check.data)
    if network is None or not nodes:
        raise UsageError(f"--result {str(path)!r} holds no finished search with an assignment.")
    found: dict[int, Precision] = {}
    for entry in nodes.values():
        if entry["group"] is not None and entry["precision"] is not None:
            found.setdefault(int(entry["group"][1:]), Precision(entry["precision"]))
    if len(found) != len(network.groups):
        raise UsageError(f"--result {str(path)!r}: result.json and the stored run do not belong together.")
    return Known(_name(network), network, Assignment(tuple(found[g] for g in range(len(network.groups)))))


def _name(network: Network) -> str:
    """One name for all runs of one model."""
    return f"{network.outputs[0]} of {len(network.groups)} groups, {network.total_macs} MACs"


def _uniform(model: str, network: Network, target: Target) -> Iterator[Known]:
    legaliser = Legaliser(Rulebook(network, target))
    for level in ("low", "high"):
        request = uniform(network, target, level)
        yield Known(model, network, legaliser.legalise(request).effective)


def _of_report(report: Report, owner: Known | None, target: Target, where: str) -> Measured:
    march = (report.march or "").lower().replace("_", "-")
    if march in _MARCHES and target.march in _MARCHES and march != target.march:
        raise InvalidDataError(f"{where} is about {march}, but target {target.name!r} is {target.march}.")
    if owner is not None:
        return Measured(
            model=owner.model, microseconds=report.microseconds, network=owner.network, assignment=owner.assignment
        )
    if not report.macs:
        raise InvalidDataError(
            f"{where} does not say what ran. Give the search it comes from with --result, one per report, in order."
        )
    unknown = [path for path in report.sums if known_seconds(target, path) is None]
    if unknown:
        raise InvalidDataError(f"{where} counts {unknown[0]}, which target {target.name!r} does not have.")
    total = sum(report.macs.values())
    return Measured(model=f"{total} MACs", microseconds=report.microseconds, sums=report.sums)


def _check_legal(target: Target, measured: Sequence[Measured]) -> None:
    books: dict[int, Rulebook] = {}
    for one in measured:
        if one.network is None or one.assignment is None:
            continue
        book = books.get(id(one.network)) or Rulebook(one.network, target)
        books[id(one.network)] = book
        for g, precision in enumerate(one.assignment.precisions):
            if precision not in book.allowed[g].choices:
                raise InvalidDataError(
                    f"Model {one.model!r}: group {one.network.groups[g].name!r} was measured at {precision.value}, "
                    f"which target {target.name!r} does not allow. Measurements belong to the target and tool-chain "
                    "they were made for."
                )
