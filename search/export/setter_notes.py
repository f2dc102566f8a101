"""The comments at the end of a generated setter file: what could not be expressed in it and must be set by hand."""

from __future__ import annotations

from search.export.python_text import DTYPES, comment, literal, number
from search.export.qconfig_plan import ModuleFormats, QconfigPlan


def notes(plan: QconfigPlan) -> str:
    """Return the comment block; empty text if nothing needs saying."""
    lines: list[str] = []
    if plan.inputs:
        lines += ["Model inputs: set these on their QuantStub; its module name is not in the ONNX file."]
        lines += [f"  {literal(e.name)}: output {DTYPES[e.output]}{_threshold(e.threshold)}" for e in plan.inputs]
    if plan.unmapped:
        lines += ["", "No module path can be derived from these node names; set them by hand:"]
        lines += [f"  {literal(entry.name)}: {describe(entry)}" for entry in plan.unmapped]
    if plan.shared:
        lines += ["", "Modules that are called more than once; one set of scales serves different data. Copy them:"]
        lines += [f"  {literal(name)}" for name in plan.shared]
    return comment(lines)


def describe(entry: ModuleFormats) -> str:
    """Return the formats of an entry as one line of text."""
    parts = []
    if entry.inputs:
        parts.append("input " + " and ".join(DTYPES[fmt] for fmt in entry.input_formats))
    if entry.weight is not None:
        parts.append(f"weight {DTYPES[entry.weight]}")
    if entry.output is not None:
        parts.append(f"output {DTYPES[entry.output]}{_threshold(entry.threshold)}")
    return ", ".join([*parts, *(["frozen"] if entry.frozen else [])]) or "fused"


def _threshold(value: float | None) -> str:
    return f" with threshold {number(value)}" if value is not None else ""
