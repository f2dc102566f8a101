"""Two to five studies or trials side by side: accuracy and cost with differences, fronts, assignments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from search.export.report import text
from search.export.report.assignment import Badge, badges
from search.export.report.charts import Chart, Table
from search.records.trial import TrialRecord
from service.http.context import PartsDep, Reader
from service.web.compare_sides import MOST, Reached, Side, side_of
from service.web.frame import answer, frame_for

router = APIRouter(include_in_schema=False)
DIFFERENCES = 400
"""Most rows of the table of differences."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure of one side; ``against`` is its difference from the first side."""

    value: str
    interval: str
    n: str
    against: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure of all sides."""

    name: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A group that does not run at the same precision everywhere."""

    group: str
    precisions: tuple[tuple[str, tuple[Badge, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class ComparePage:
    """The comparison.

    Attributes:
        sides: What is compared, in the order of the address; the first one is what the others are held against.
        without: For each side the address without it.
        lines: Accuracy and cost.
        fronts: One chart per goal that a front has.
        differences: Groups with different precisions.
        n_same: Groups that run alike everywhere.
        n_differences: All that differ, also those not shown.
        warning: Why costs or assignments cannot be held against each other; empty if they can.
    """

    sides: tuple[Side, ...]
    without: tuple[str, ...]
    lines: tuple[Line, ...]
    fronts: tuple[Chart, ...]
    differences: tuple[Difference, ...]
    n_same: int
    n_differences: int
    warning: str
    most: int = MOST

    @property
    def chart_data(self) -> dict[str, Any]:
        """Chart id to its data."""
        return {chart.id: chart.data for chart in self.fronts}


@router.get("/compare")
def compare_page(
    parts: PartsDep, principal: Reader, of: Annotated[list[Annotated[str, Query(max_length=80)]] | None, Query()] = None
) -> Response:
    """Show a comparison; without anything to compare, what it takes."""
    keys = list(dict.fromkeys(key.strip() for key in of or () if key.strip()))[:MOST]
    with parts.database.reading() as connection:
        sides = tuple(side_of(connection, principal, key) for key in keys)
    page = comparison(sides)
    return answer("compare.html.j2", frame_for(principal, "Compare", "compare", has_charts=bool(page.fronts)), page)


def comparison(sides: tuple[Side, ...]) -> ComparePage:
    """Return the comparison of some sides."""
    goals = list(dict.fromkeys(goal for side in sides for goal in side.reached))
    known = [side.precisions for side in sides if side.precisions]
    common = [name for name in known[0] if all(name in one for one in known)] if len(known) > 1 else []
    differing = [name for name in common if len({one[name] for one in known}) > 1]
    fronts = [_fronts(k, goal, sides) for k, goal in enumerate(goals)]
    return ComparePage(
        sides=sides,
        without=tuple(_address(other.key for other in sides if other is not side) for side in sides),
        lines=(*(_goal_line(goal, sides) for goal in goals), *([_cost_line(sides)] if sides else [])),
        fronts=tuple(chart for chart in fronts if chart is not None),
        differences=tuple(_difference(name, sides) for name in differing[:DIFFERENCES]),
        n_same=len(common) - len(differing),
        n_differences=len(differing),
        warning=_warning(sides, n_common=len(common), n_known=len(known)),
    )


def _address(keys: Any) -> str:
    return "/compare?" + urlencode([("of", key) for key in keys])


def _goal_line(goal: str, sides: Sequence[Side]) -> Line:
    first = sides[0].reached.get(goal)
    direction = next((side.directions[goal] for side in sides if goal in side.directions), "higher")
    cells = tuple(_reached_cell(side.reached.get(goal), None if side is sides[0] else first) for side in sides)
    return Line(name=text.clean(goal), note=f"{direction} is better", cells=cells)


def _reached_cell(found: Reached | None, first: Reached | None) -> Cell:
    if found is None or found.value is None:
        return Cell(value=text.MISSING, interval="", n="", against="")
    against = "" if first is None or first.value is None else text.difference(found.value - first.value)
    return Cell(
        value=f"{'≈ ' if found.is_estimate else ''}{text.figure(found.value)}",
        interval=text.interval((found.low, found.high)),
        n=text.count(found.n),
        against=against,
    )


def _cost_line(sides: Sequence[Side]) -> Line:
    first = sides[0].cost
    comparable = len({(side.study.target, side.unit) for side in sides}) == 1
    cells = []
    for side in sides:
        share = None
        if comparable and side is not sides[0] and first and side.cost is not None:
            share = side.cost / first - 1
        against = "" if share is None else f"{'+' if share > 0 else ''}{text.percent(share)}"
        cells.append(Cell(value=text.cost(side.cost, side.unit), interval="", n="", against=against))
    return Line(name="Cost", note="estimate, lower is better", cells=tuple(cells))


def _fronts(k: int, goal: str, sides: Sequence[Side]) -> Chart | None:
    firsts = {side.study.id: side for side in reversed(sides)}  # the front of a study is drawn once
    drawn = [
        (side, [row for row in side.front if row.seen.get(goal) is not None] if firsts[side.study.id] is side else [])
        for side in sides
    ]
    if not any(rows for _, rows in drawn):
        return None
    direction = next((side.directions[goal] for side in sides if goal in side.directions), "higher")
    best = [
        f"{text.clean(s.label, 60)} has {text.plural(len(rows), 'trial')} on its front" for s, rows in drawn if rows
    ]
    return Chart(
        id=f"fronts-{k}",
        label=text.clean(goal),
        title=f"Fronts: {text.clean(goal)} against cost",
        summary="; ".join(best) + ".",
        data={
            "kind": "fronts",
            "metric": text.clean(goal),
            "better": direction,
            "sides": [_drawn(side, rows, goal) for side, rows in drawn],
        },
        table=Table(
            head=("Study", "Trial", "Cost", text.clean(goal), "n"),
            rows=tuple(
                (
                    text.clean(side.label, 60),
                    str(row.no),
                    text.cost(row.cost, side.unit),
                    text.figure(row.seen[goal]),
                    text.count(row.n_run),
                )
                for side, rows in drawn
                for row in rows
            ),
            numeric=frozenset({1, 2, 3, 4}),
        ),
    )


def _drawn(side: Side, rows: Sequence[TrialRecord], goal: str) -> dict[str, Any]:
    reached = side.reached.get(goal)
    ordered = sorted(rows, key=lambda row: (row.cost, row.no))
    return {
        "label": text.clean(side.label, 60),
        "x": [row.cost for row in ordered],
        "y": [row.seen[goal] for row in ordered],
        "hover": [f"trial {row.no}: {text.figure(row.seen[goal])} at {text.cost(row.cost)}" for row in ordered],
        "at": None if reached is None or side.cost is None else {"x": side.cost, "y": reached.value},
    }


def _difference(name: str, sides: Sequence[Side]) -> Difference:
    found = [side.precisions.get(name, "") for side in sides]
    return Difference(group=text.clean(name), precisions=tuple((one or text.MISSING, badges(one)) for one in found))


def _warning(sides: Sequence[Side], *, n_common: int, n_known: int) -> str:
    told = []
    if len({side.study.target for side in sides}) > 1:
        told.append("These studies are for different targets: their costs cannot be held against each other.")
    if n_known > 1 and n_common == 0:
        told.append("Their models have no group in common, so assignments cannot be compared.")
    return " ".join(told)
