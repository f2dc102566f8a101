"""The two charts of the search: the ladder of trials, and accuracy against cost.

A chart is a title, a sentence computed from its data, the data, and a table with the same numbers.
All text is made here; the script in the page only places marks.

One collapsed trial would press all others into a line, so the accuracy axis shows a window around the goal:
``required ± 4 * (largest distance of float or chosen from required)``. Trials outside stand at the
edge with their value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from search.export.report import text
from search.export.report.trials import VERDICTS, Trial


@dataclass(frozen=True, kw_only=True)
class Table:
    """The numbers of a chart as rows; ``numeric`` holds the positions of columns that are aligned right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart; ``label`` names it among its siblings, ``data`` is a JSON value for the page's script."""

    id: str
    label: str
    title: str
    summary: str
    data: Mapping[str, Any]
    table: Table


def ladder(metric: Mapping[str, Any], trials: Sequence[Trial], *, key: str, unit: str) -> Chart | None:
    """Return the search as it happened under one metric, or None if no trial has a value."""
    name = metric.get("id", "")
    values = [value for trial in trials if (value := trial.values.get(name)) is not None]
    if not values:
        return None
    window = focus(metric, values)
    points = [_point(trial, trial.values.get(name), window, unit) for trial in trials]
    return Chart(
        id=f"ladder-{key}",
        label=text.clean(name),
        title=f"{text.clean(name)}, trial by trial",
        summary=_ladder_summary(metric, trials, unit) + _outside(points),
        data={
            "kind": "ladder",
            "metric": text.clean(name),
            "better": "lower" if metric.get("direction") == "lower" else "higher",
            "window": window,
            "lines": _lines(metric),
            "points": points,
            "stages": _stages(trials),
        },
        table=_trial_table(metric, trials, unit),
    )


def cost_plot(metric: Mapping[str, Any], trials: Sequence[Trial], cost: Mapping[str, Any], *, key: str) -> Chart | None:
    """Return accuracy against cost under one metric, or None if no trial has both."""
    name, unit = metric.get("id", ""), str(cost.get("unit", "index"))
    placed = [trial for trial in trials if trial.cost is not None and trial.values.get(name) is not None]
    if not placed:
        return None
    bounds = [(label, text.finite(cost.get(label.replace("-", "_")))) for label in ("all-low", "all-high")]
    front = sorted((trial for trial in placed if trial.front), key=lambda trial: trial.cost or 0.0)
    return Chart(
        id=f"cost-{key}",
        label=text.clean(name),
        title=f"{text.clean(name)} against {'cost index' if unit == 'index' else 'latency'}",
        summary=_cost_summary(metric, cost, len(front)),
        data={
            "kind": "cost",
            "points_of": f"ladder-{key}",
            "cost_title": "Cost index (estimate)" if unit == "index" else "Latency in µs (estimate)",
            "bounds": [
                {"label": label, "cost": value, "text": f"{label} {text.cost(value, unit)}"}
                for label, value in bounds
                if value is not None
            ],
            "front": [trial.number for trial in front],
            "chosen": _chosen_point(metric, cost, unit),
        },
        table=_front_table(metric, placed, unit),
    )


def focus(metric: Mapping[str, Any], values: Sequence[float]) -> list[float]:
    """Return the shown range ``[low, high]`` of the accuracy axis."""
    required = text.finite(metric.get("required"))
    near = [text.finite(metric.get(key)) for key in ("float", "required", "chosen")]
    near += [text.finite(bound) for bound in metric.get("interval") or ()]
    anchors = [value for value in near if value is not None]
    shown = [*anchors, *values]
    if required is not None:
        reach = 4 * max(abs(value - required) for value in anchors) or 0.05 * abs(required) or 1e-6
        inside = [value for value in shown if abs(value - required) <= reach]
        if max(shown) - min(shown) > 3 * (max(inside) - min(inside)) and len(set(inside)) > 1:
            shown = inside
    low, high = min(shown), max(shown)
    margin = 0.12 * (high - low) or 0.05 * abs(high) or 1e-6
    return [low - margin, high + margin]


def _point(trial: Trial, value: float | None, window: Sequence[float], unit: str) -> dict[str, Any]:
    shown = None if value is None else min(max(value, window[0]), window[1])
    told = [
        f"Trial {trial.number}, {trial.stage}" if trial.stage else f"Trial {trial.number}",
        f"{text.figure(value)} on {trial.effort} samples",
        f"cost {text.cost(trial.cost, unit)}" + (f", ratio {trial.ratio}" if trial.ratio else ""),
        trial.verdict + (", chosen" if trial.chosen else ""),
    ]
    return {
        "x": trial.number,
        "y": shown,
        "outside": shown != value,
        "value": text.figure(value),
        "cost": trial.cost,
        "cost_text": text.cost(trial.cost, unit),
        "verdict": trial.verdict,
        "chosen": trial.chosen,
        "bound": trial.bound,
        "hover": told,
    }


def _lines(metric: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for key, label in (("required", "required"), ("float", "float")):
        value = text.finite(metric.get(key))
        if value is not None:
            lines.append({"kind": key, "y": value, "text": f"{label} {text.figure(value)}"})
    return lines


def _stages(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    runs = [list(run) for _, run in groupby(trials, key=lambda trial: trial.stage)]
    return [{"name": text.clean(run[0].stage, 28), "first": run[0].number, "last": run[-1].number} for run in runs]


def _outside(points: Sequence[Mapping[str, Any]]) -> str:
    outside = sum(bool(point["outside"]) for point in points)
    if not outside:
        return ""
    verb = "lies" if outside == 1 else "lie"
    told = f"{text.plural(outside, 'trial')} {verb} outside the shown range, at its edge with the value beside it."
    return f" {told}"


def _ladder_summary(metric: Mapping[str, Any], trials: Sequence[Trial], unit: str) -> str:
    tally = Counter(trial.verdict for trial in trials)
    told = [f"{number} {verdict}" for verdict in VERDICTS if (number := tally[verdict])]
    chosen = next((trial for trial in trials if trial.chosen), None)
    start = f"{text.plural(len(trials), 'trial')}: {', '.join(told)}."
    if chosen is None:
        return start
    value = text.figure(chosen.values.get(metric.get("id", "")))
    return f"{start} Trial {chosen.number} was chosen, {value} at cost {text.cost(chosen.cost, unit)}."


def _cost_summary(metric: Mapping[str, Any], cost: Mapping[str, Any], n_front: int) -> str:
    unit = str(cost.get("unit", "index"))
    chosen, low, high = (text.finite(cost.get(key)) for key in ("chosen", "all_low", "all_high"))
    parts = []
    if low is not None and high is not None:
        parts.append(f"Costs run from {text.cost(low, unit)} (all-low) to {text.cost(high, unit)} (all-high).")
    if chosen is not None:
        value = text.figure(text.finite(metric.get("chosen")))
        parts.append(f"The chosen assignment reaches {value} at {text.cost(chosen, unit)}.")
    if n_front:
        verb = "is" if n_front == 1 else "are"
        parts.append(f"{text.plural(n_front, 'trial')} {verb} on the front: no other is both cheaper and better.")
    return " ".join(parts)


def _chosen_point(metric: Mapping[str, Any], cost: Mapping[str, Any], unit: str) -> dict[str, Any] | None:
    at, value = text.finite(cost.get("chosen")), text.finite(metric.get("chosen"))
    if at is None or value is None:
        return None
    bounds = [text.finite(bound) for bound in metric.get("interval") or (None, None)]
    hover = [f"Chosen: {text.figure(value)} at cost {text.cost(at, unit)}"]
    if shown := text.interval(metric.get("interval")):
        hover.append(f"95 % interval {shown}, n = {text.count(metric.get('n_samples'))}")
    return {"x": at, "y": value, "low": bounds[0], "high": bounds[1], "text": text.cost(at, unit), "hover": hover}


def _trial_table(metric: Mapping[str, Any], trials: Sequence[Trial], unit: str) -> Table:
    name = metric.get("id", "")
    return Table(
        head=("Trial", "Stage", "Ratio", "Cost", "Samples", text.clean(name), "Verdict", "Why"),
        rows=tuple(
            (
                str(trial.number),
                trial.stage,
                trial.ratio or text.MISSING,
                text.cost(trial.cost, unit),
                trial.effort,
                text.figure(trial.values.get(name)),
                trial.verdict + (" · chosen" if trial.chosen else ""),
                text.clean(trial.why, 240),
            )
            for trial in trials
        ),
        numeric=frozenset({0, 3, 4, 5}),
        note="Every trial is in trials.csv.",
    )


def _front_table(metric: Mapping[str, Any], trials: Sequence[Trial], unit: str) -> Table:
    name = metric.get("id", "")
    shown = sorted(
        (trial for trial in trials if trial.front or trial.chosen or trial.bound),
        key=lambda trial: (trial.cost or 0.0, trial.number),
    )
    roles = [
        ", ".join(role for role, holds in (("chosen", t.chosen), ("front", t.front), (t.bound, t.bound)) if holds)
        for t in shown
    ]
    return Table(
        head=("Trial", "Role", "Cost", text.clean(name), "Verdict"),
        rows=tuple(
            (str(t.number), role, text.cost(t.cost, unit), text.figure(t.values.get(name)), t.verdict)
            for t, role in zip(shown, roles, strict=True)
        ),
        numeric=frozenset({0, 2, 3}),
        note="Front, bounds and the chosen trial; the other points are in the table of the search above.",
    )
