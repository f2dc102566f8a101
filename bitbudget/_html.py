"""A result in a notebook: verdict, goals, front and one cell per group in its precision. No script, no resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from search.export.report.verdict import verdict
from search.records.result import Result

COLOURS = {"int8": "#9ecae9", "a8w8": "#9ecae9", "a16w8": "#f2b35c", "a8w16": "#f2b35c", "a16w16": "#e4703c"}
FLOAT = "#b39ddb"
CELL = 14


def result_html(result: Result, folder: Path) -> str:
    """Return the HTML of a result; every text of the model is escaped.

    Args:
        result: The result.
        folder: Where the report lies.
    """
    cost = "-" if result.cost.chosen is None else f"{result.cost.chosen:.3f}"
    head = (
        f"<p><b>{escape(verdict(result).headline)}</b> on {escape(result.target)}, cost {cost} ({result.cost.unit})</p>"
    )
    goals = _table(
        ("metric", "float", "required", "chosen"),
        ((one.id, _number(one.float_value), _number(one.required), _number(one.chosen)) for one in result.metrics),
    )
    names = [goal.id for goal in result.metrics]
    front = _table(
        ("front: trial", "cost", *names),
        ((str(p.trial), f"{p.cost:.3f}", *(_number(p.values.get(name)) for name in names)) for p in result.front),
    )
    report = escape(str(folder / "report.html"))
    return f"<div>{head}{goals}{front}{_map(result)}<p>report: <code>{report}</code></p></div>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _map(result: Result) -> str:
    """One cell per computing node in the order of the graph, with its name and precision as title."""
    nodes = [(name, node) for name, node in result.assignment.items() if node.role in ("compute", "float")]
    cells = "".join(
        f'<rect x="{i % 60 * CELL}" y="{i // 60 * CELL}" width="{CELL - 1}" height="{CELL - 1}" '
        f'fill="{COLOURS.get(node.precision or "", FLOAT)}"><title>{escape(name)}: {escape(node.precision or "float")}'
        "</title></rect>"
        for i, (name, node) in enumerate(nodes)
    )
    height = (len(nodes) + 59) // 60 * CELL
    return f'<svg width="{60 * CELL}" height="{height}" role="img" aria-label="precision of every node">{cells}</svg>'
