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
from search.export.report.trials import MarkedTrial
from search.records.goal import GoalRecord
from search.records.result import CostRecord
from search.records.trial import Estimate
from search.records.verdict import Verdict


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


def ladder(goal: GoalRecord, trials: Sequence[MarkedTrial], *, key: str, unit: str) -> Chart | None:
    """Return the search as it happened under one goal, or None if no trial has a value or an estimate."""
    values = [value for trial in trials if (value := trial.placed(goal.id)) is not None]
    if not values:
        return None
    window = focus(goal, values)
    points = [_point(goal, trial, window, unit) for trial in trials]
    return Chart(
        id=f"ladder-{key}",
        label=text.clean(goal.id),
        title=f"{text.clean(goal.id)}, trial by trial",
        summary=_ladder_summary(goal, trials, unit) + _estimated(points) + _outside(points),
        data={
            "kind": "ladder",
            "metric": text.clean(goal.id),
            "better": goal.direction,
            "window": window,
            "lines": _lines(goal),
            "points": points,
            "stages": _stages(trials),
        },
        table=_trial_table(goal, trials, unit),
    )


def cost_plot(goal: GoalRecord, trials: Sequence[MarkedTrial], cost: CostRecord, *, key: str) -> Chart | None:
    """Return accuracy against cost under one goal, or None if no trial has both."""
    unit = cost.unit
    placed = [trial for trial in trials if trial.cost is not None and trial.placed(goal.id) is not None]
    if not placed:
        return None
    bounds = (("all-low", cost.all_low), ("all-high", cost.all_high))
    front = sorted((trial for trial in placed if trial.is_on_front), key=lambda trial: trial.cost or 0.0)
    return Chart(
        id=f"cost-{key}",
        label=text.clean(goal.id),
        title=f"{text.clean(goal.id)} against {'cost index' if unit == 'index' else 'latency'}",
        summary=_cost_summary(goal, cost, len(front)),
        data={
            "kind": "cost",
            "points_of": f"ladder-{key}",
            "cost_title": "Cost index (estimate)" if unit == "index" else "Latency in µs (estimate)",
            "bounds": [
                {"label": label, "cost": value, "text": f"{label} {text.cost(value, unit)}"}
                for label, value in bounds
                if value is not None
            ],
            "front": [trial.no for trial in front],
            "chosen": _chosen_point(goal, cost),
        },
        table=_front_table(goal, placed, unit),
    )


def focus(goal: GoalRecord, values: Sequence[float]) -> list[float]:
    """Return the shown range ``[low, high]`` of the accuracy axis."""
    near = (goal.float_value, goal.required, goal.chosen, *(goal.interval or ()))
    anchors = [found for value in near if (found := text.finite(value)) is not None]
    shown = [*anchors, *values]
    if goal.required is not None:
        required = goal.required
        reach = 4 * max(abs(value - required) for value in anchors) or 0.05 * abs(required) or 1e-6
        inside = [value for value in shown if abs(value - required) <= reach]
        if max(shown) - min(shown) > 3 * (max(inside) - min(inside)) and len(set(inside)) > 1:
            shown = inside
    low, high = min(shown), max(shown)
    margin = 0.12 * (high - low) or 0.05 * abs(high) or 1e-6
    return [low - margin, high + margin]


def _point(goal: GoalRecord, trial: MarkedTrial, window: Sequence[float], unit: str) -> dict[str, Any]:
    value, estimate = trial.placed(goal.id), trial.estimate(goal.id)
    shown = None if value is None else min(max(value, window[0]), window[1])
    word = trial.record.verdict.label + (", chosen" if trial.is_chosen else "")
    told = [
        f"Trial {trial.no}, {trial.stage}" if trial.stage else f"Trial {trial.no}",
        f"{text.figure(trial.seen(goal.id))} on {trial.effort} samples",
        *([] if estimate is None else [f"estimate of all: {_range(estimate)}"]),
        f"cost {text.cost(trial.cost, unit)}" + (f", ratio {trial.ratio}" if trial.ratio else ""),
        word,
    ]
    return {
        "x": trial.no,
        "y": shown,
        "outside": shown != value,
        "value": text.figure(value),
        "low": None if estimate is None else max(estimate.low, window[0]),
        "high": None if estimate is None else min(estimate.high, window[1]),
        "cost": trial.cost,
        "cost_text": text.cost(trial.cost, unit),
        "verdict": trial.record.verdict.value,
        "chosen": trial.is_chosen,
        "bound": trial.record.role.label,
        "hover": told,
    }


def _range(estimate: Estimate) -> str:
    return f"{text.figure(estimate.value)}, 95 % within {text.figure(estimate.low)} to {text.figure(estimate.high)}"


def _lines(goal: GoalRecord) -> list[dict[str, Any]]:
    known = (("required", goal.required), ("float", goal.float_value))
    return [
        {"kind": kind, "y": value, "text": f"{kind} {text.figure(value)}"} for kind, value in known if value is not None
    ]


def _stages(trials: Sequence[MarkedTrial]) -> list[dict[str, Any]]:
    runs = [list(run) for _, run in groupby(trials, key=lambda trial: trial.stage)]
    return [{"name": text.clean(run[0].stage, 28), "first": run[0].no, "last": run[-1].no} for run in runs]


def _estimated(points: Sequence[Mapping[str, Any]]) -> str:
    n = sum(point["low"] is not None for point in points)
    return f" Hollow marks with a bar are estimates of the full set ({n:,})." if n else ""


def _outside(points: Sequence[Mapping[str, Any]]) -> str:
    outside = sum(bool(point["outside"]) for point in points)
    if not outside:
        return ""
    verb = "lies" if outside == 1 else "lie"
    told = f"{text.plural(outside, 'trial')} {verb} outside the shown range, at its edge with the value beside it."
    return f" {told}"


def _ladder_summary(goal: GoalRecord, trials: Sequence[MarkedTrial], unit: str) -> str:
    tally = Counter(trial.record.verdict for trial in trials)
    told = [f"{number} {verdict.label}" for verdict in Verdict if (number := tally[verdict])]
    chosen = next((trial for trial in trials if trial.is_chosen), None)
    start = f"{text.plural(len(trials), 'trial')}: {', '.join(told)}."
    if chosen is None:
        return start
    value = text.figure(chosen.seen(goal.id))
    return f"{start} Trial {chosen.no} was chosen, {value} at cost {text.cost(chosen.cost, unit)}."


def _cost_summary(goal: GoalRecord, cost: CostRecord, n_front: int) -> str:
    low, high = (text.cost(bound, cost.unit) for bound in (cost.all_low, cost.all_high))
    parts = []
    if cost.all_low is not None and cost.all_high is not None:
        parts.append(f"Costs run from {low} (all-low) to {high} (all-high).")
    if cost.chosen is not None:
        parts.append(
            f"The chosen assignment reaches {text.figure(goal.chosen)} at {text.cost(cost.chosen, cost.unit)}."
        )
    if n_front:
        verb = "is" if n_front == 1 else "are"
        parts.append(f"{text.plural(n_front, 'trial')} {verb} on the front: no other is both cheaper and better.")
    return " ".join(parts)


def _chosen_point(goal: GoalRecord, cost: CostRecord) -> dict[str, Any] | None:
    if cost.chosen is None or goal.chosen is None:
        return None
    at = text.cost(cost.chosen, cost.unit)
    low, high = goal.interval or (None, None)
    hover = [f"Chosen: {text.figure(goal.chosen)} at cost {at}"]
    if shown := text.interval(goal.interval):
        hover.append(f"95 % interval {shown}, n = {text.count(goal.n_samples)}")
    return {"x": cost.chosen, "y": goal.chosen, "low": low, "high": high, "text": at, "hover": hover}


def _trial_table(goal: GoalRecord, trials: Sequence[MarkedTrial], unit: str) -> Table:
    name = text.clean(goal.id)
    return Table(
        head=("Trial", "Stage", "Ratio", "Cost", "Samples", f"{name}, seen", "Estimate of all", "Verdict", "Why"),
        rows=tuple(
            (
                str(trial.no),
                trial.stage,
                trial.ratio or text.MISSING,
                text.cost(trial.cost, unit),
                trial.effort,
                text.figure(trial.seen(goal.id)),
                estimate_text(trial.estimate(goal.id)),
                " · ".join((trial.record.verdict.label, *(("chosen",) if trial.is_chosen else ()))),
                text.clean(trial.why, 240),
            )
            for trial in trials
        ),
        numeric=frozenset({0, 3, 4, 5}),
        note="Every trial is in trials.csv. Seen is the value on the samples that ran, the hardest first where the "
        "search sorts them.",
    )


def estimate_text(estimate: Estimate | None) -> str:
    """Return an estimate with its 95 % interval; empty if there is none."""
    if estimate is None:
        return ""
    return f"≈ {text.figure(estimate.value)} ({text.figure(estimate.low)} to {text.figure(estimate.high)})"


def _front_table(goal: GoalRecord, trials: Sequence[MarkedTrial], unit: str) -> Table:
    shown = sorted((trial for trial in trials if trial.marks), key=lambda trial: (trial.cost or 0.0, trial.no))
    return Table(
        head=("Trial", "Role", "Cost", text.clean(goal.id), "Verdict"),
        rows=tuple(
            (
                str(trial.no),
                ", ".join(trial.marks),
                text.cost(trial.cost, unit),
                estimate_text(trial.estimate(goal.id)) or text.figure(trial.seen(goal.id)),
                trial.record.verdict.label,
            )
            for trial in shown
        ),
        numeric=frozenset({0, 2, 3}),
        note="Front, bounds and the chosen trial; the other points are in the table of the search above.",
    )
