"""The sensitivity tables as charts: bars per point, and the cumulative share of the summed error.

One table per (output, metric, base). ``value`` is the error at the output when this point alone is at the low
precision, so longer is worse. Errors of single points do not add up exactly; the curve shows how concentrated they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from search.export.report import text
from search.export.report.charts import Chart, Table

N_BARS = 40
N_TABLES = 24
N_FILTERED = 20_000
"""Rows over all tables that the script can filter: keeps the page small; tables beyond keep their bars."""
_N_CURVE = 160
_MILESTONES = (0.5, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class SensitivityPanel:
    """The two charts of one table."""

    id: str
    label: str
    bars: Chart
    curve: Chart


def sensitivity_panels(rows: Sequence[Mapping[str, Any]]) -> tuple[SensitivityPanel, ...]:
    """Return one panel per table in order of appearance, at most ``N_TABLES``."""
    return tuple(_panel(index, table) for index, table in enumerate(_tables(rows)))


def _tables(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The tables, each with its worst row first."""
    tables: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (str(row.get("output", "")), str(row.get("metric", "")), str(row.get("base", "")))
        tables.setdefault(key, []).append(row)
    return [sorted(table, key=_order) for table in list(tables.values())[:N_TABLES]]


def filtered_data(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return every row for the script that filters: ``points`` once, ``tables`` as ``[point, value, text]``.

    Args:
        rows: As for ``sensitivity_panels``; the keys of ``tables`` are the ids of its bars.
    """
    points: dict[tuple[str, ...], int] = {}
    tables: dict[str, list[list[Any]]] = {}
    room = N_FILTERED
    for index, table in enumerate(_tables(rows)):
        if len(table) > room:
            break
        room -= len(table)
        tables[f"bars-{index}"] = [_compact(row, points) for row in table]
    return {"points": [list(point) for point in points], "tables": tables, "bars": N_BARS}


def _compact(row: Mapping[str, Any], points: dict[tuple[str, ...], int]) -> list[Any]:
    value = text.finite(row.get("value"))
    point = (
        text.clean(row.get("op_name"), 90),
        "weight" if row.get("sensitive_type") == "weight" else "activation",
        text.clean(row.get("op_type"), 40),
        text.clean(row.get("dtype"), 20),
        text.percent(text.finite(row.get("flops_share"))),
        text.clean(row.get("group") or "", 40),
    )
    return [points.setdefault(point, len(points)), None if value is None else float(f"{value:.5g}"), text.figure(value)]


def _order(row: Mapping[str, Any]) -> tuple[float, float]:
    rank, value = text.finite(row.get("rank")), text.finite(row.get("value"))
    # A point without a value (NaN at the output) is the most sensitive of all, never the least.
    return (float("inf") if rank is None else rank, float("-inf") if value is None else -value)


def _panel(index: int, rows: Sequence[Mapping[str, Any]]) -> SensitivityPanel:
    output, metric, base = (text.clean(rows[0].get(name, ""), 60) for name in ("output", "metric", "base"))
    label = f"{output} · {metric.upper()} · base {text.words(base)}"
    return SensitivityPanel(
        id=f"table-{index}", label=label, bars=_bars(index, label, rows), curve=_curve(index, label, rows)
    )


def _bars(index: int, label: str, rows: Sequence[Mapping[str, Any]]) -> Chart:
    top, rest = rows[:N_BARS], rows[N_BARS:]
    total = sum(text.finite(row.get("value")) or 0.0 for row in rest)
    others = f"{text.plural(len(rest), 'other')}, summed"
    last = ("", others, "", "", text.figure(total), "", "", "")
    return Chart(
        id=f"bars-{index}",
        label=label,
        title=f"Most sensitive points: {label}",
        summary=_bars_summary(rows),
        data={
            "kind": "bars",
            "rows": [_bar(row) for row in top],
            "rest": {"label": others, "value": total, "text": text.figure(total)} if rest else None,
        },
        table=Table(
            head=("Rank", "Point", "Kind", "Operator", "Error", "At", "Compute", "Group"),
            rows=(*(_cells(rank, row) for rank, row in enumerate(top, start=1)), *([last] if rest else [])),
            numeric=frozenset({0, 4, 6}),
            note="Every row is in sensitivity.csv.",
        ),
    )


def _bar(row: Mapping[str, Any]) -> dict[str, Any]:
    weight = row.get("sensitive_type") == "weight"
    value = text.finite(row.get("value"))
    return {
        "label": text.ending(row.get("op_name"), 34),
        "kind": "weight" if weight else "activation",
        "value": value,
        "text": text.figure(value),
        "group": text.clean(row.get("group") or "", 40),
        "hover": [
            text.clean(row.get("op_name"), 90),
            f"{'weight' if weight else 'activation'} of {text.clean(row.get('op_type'), 40)}",
            f"error {text.figure(value)} at {text.clean(row.get('dtype'), 20)}",
            f"{text.percent(text.finite(row.get('flops_share')))} of compute",
        ],
    }


def _cells(rank: int, row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(rank),
        text.clean(row.get("op_name")),
        text.clean(row.get("sensitive_type"), 20),
        text.clean(row.get("op_type"), 40),
        text.figure(text.finite(row.get("value"))),
        text.clean(row.get("dtype"), 20),
        text.percent(text.finite(row.get("flops_share"))),
        text.clean(row.get("group") or "", 40),
    )


def _bars_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    worst = rows[0]
    kind = "weight" if worst.get("sensitive_type") == "weight" else "activation"
    n_weights = sum(row.get("sensitive_type") == "weight" for row in rows)
    split = f"{text.plural(len(rows) - n_weights, 'activation')} and {text.plural(n_weights, 'weight')}"
    name, value = text.clean(worst.get("op_name"), 60), text.figure(text.finite(worst.get("value")))
    return f"{split} were measured one at a time. Worst: {kind} of {name}, error {value}."


def _curve(index: int, label: str, rows: Sequence[Mapping[str, Any]]) -> Chart:
    errors = [max(text.finite(row.get("value")) or 0.0, 0.0) for row in rows]
    total = sum(errors)
    shares = [part / total for part in accumulate(errors)] if total > 0 else [0.0 for _ in errors]
    reached = [(goal, _first(shares, goal)) for goal in _MILESTONES if total > 0]
    step = max(1, len(shares) // _N_CURVE)
    picked = sorted({*range(0, len(shares), step), len(shares) - 1})
    return Chart(
        id=f"curve-{index}",
        label=label,
        title="How concentrated the error is",
        summary=_curve_summary(reached, len(rows)),
        data={
            "kind": "curve",
            "x": [0, *(place + 1 for place in picked)],
            "y": [0, *(round(100 * shares[place], 3) for place in picked)],
            "marks": [{"x": n, "y": round(100 * shares[n - 1], 3), "text": text.percent(goal)} for goal, n in reached],
        },
        table=Table(
            head=("Share of the summed error", "Points", "Share of all points"),
            rows=tuple((text.percent(goal), f"{n:,}", text.percent(n / len(rows))) for goal, n in reached),
            numeric=frozenset({0, 1, 2}),
        ),
    )


def _first(shares: Sequence[float], goal: float) -> int:
    """Return how many leading points reach ``goal``."""
    return next((index for index, share in enumerate(shares, start=1) if share >= goal - 1e-12), len(shares))


def _curve_summary(reached: Sequence[tuple[float, int]], n_points: int) -> str:
    found = dict(reached)
    if 0.9 not in found:
        return "No point has an error at this output."
    return f"{found[0.9]:,} of {text.plural(n_points, 'point')} carry 90 % of the summed error."
