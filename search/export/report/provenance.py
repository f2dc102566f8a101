"""What the report says of where a result comes from: rows of a label and a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from search.export.report import text
from search.records.provenance import DataRecord, Provenance

_SHOWN = 12  # digits of a digest
_CLASSES = 12  # classes told one by one


def provenance_rows(provenance: Provenance | None) -> tuple[tuple[str, str], ...]:
    """Return labels and texts; nothing for results of before."""
    return () if provenance is None else tuple(_rows(provenance))


def _rows(one: Provenance) -> Iterator[tuple[str, str]]:
    model = one.model
    size = "" if model.bytes is None else f", {text.count(model.bytes)} bytes"
    yield "Model", f"{text.clean(model.file)}, SHA-256 {model.digest[:_SHOWN]}{size}"
    if model.opset is not None:
        exporter = f", written by {text.clean(model.exporter)}" if model.exporter else ""
        yield "Opset", f"{model.opset}{exporter}"
    if model.inputs:
        shapes = (f"{text.clean(i.name)} {i.dtype or ''} [{_sizes(i.shape)}]" for i in model.inputs[:8])
        yield "Inputs", "; ".join(shapes)
    for data in one.data:
        yield data.role.capitalize(), _data(data)
    if one.command:
        yield "Command", text.clean(one.command, 500)
    if one.machine:
        yield "Machine", text.clean(one.machine, 200)
    versions = [f"{text.clean(name)} {text.clean(value, 80)}" for name, value in one.versions.items()]
    if versions:
        yield "Versions", ", ".join(versions)
    if one.date:
        yield "Date", text.clean(one.date, 40)


def _data(data: DataRecord) -> str:
    parts = [text.clean(data.file)]
    if data.digest is not None:
        parts.append(f"SHA-256 {data.digest[:_SHOWN]}")
    if data.samples is not None:
        parts.append(f"{text.count(data.samples)} samples")
    parts += [f"{text.clean(key)}: {_balance(counts)}" for key, counts in data.classes.items()]
    return ", ".join(parts)


def _balance(counts: Mapping[str, int]) -> str:
    if len(counts) <= _CLASSES:
        return " ".join(f"{name} x{n}" for name, n in counts.items())
    return f"{len(counts)} classes of {min(counts.values())} to {max(counts.values())} samples"


def _sizes(shape: tuple[int | None, ...]) -> str:
    return ", ".join("?" if size is None else str(size) for size in shape)
