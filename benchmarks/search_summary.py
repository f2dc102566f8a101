"""Rows of the benchmark of the search, and the figures drawn from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

METHODS = ("auto", "ladder", "tpe", "nsga2", "random", "ort helper")
LONG = 0.15  # seconds of a float evaluation from which FE mean something
NEAR = 0.02
NO_ROW = float("nan")


@dataclass(frozen=True, kw_only=True)
class Small:
    """One network whose whole space was searched.

    Attributes:
        name: Network.
        target: Chip.
        diffuse: Whether no outlier was planted.
        drop: Goal: allowed drop of top-1.
        n_assignments: Distinct effective assignments.
        tried: Of them, until the optimum.
        optimum: Its cost index.
        noise: Standard deviation of the paired drop at the optimum.
        costs: Method to cost index; None where it met no goal.
        evaluations: Method to trials.
    """

    name: str
    target: str
    diffuse: bool
    drop: float
    n_assignments: int
    tried: int
    optimum: float
    noise: float
    costs: Mapping[str, float | None]
    evaluations: Mapping[str, int]

    @property
    def is_clear(self) -> bool:
        """Whether the goal exceeds two standard deviations of the noise."""
        return self.drop > 2 * self.noise

    def gap(self, method: str) -> float | None:
        """Cost above the optimum, relative."""
        cost = self.costs[method]
        return None if cost is None else cost / self.optimum - 1

    def cells(self) -> list[str]:
        """One row of the table."""
        found = [f"{_percent(self.gap(method))} / {self.evaluations[method]}" for method in METHODS]
        goal = f"{100 * self.drop:.2f}{'' if self.is_clear else ' *'}"
        counts = [str(self.n_assignments), str(self.tried)]
        return [self.name, self.target, goal, *counts, f"{self.optimum:.3f}", *found]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """One search on a case.

    Attributes:
        case: Case.
        drop: Allowed drop of top-1 in the goal; None where there are no labels.
        method: What searched.
        cost: Cost index of its answer; None if it met no goal.
        evaluations: Trials.
        equivalents: Full-set equivalents.
        seconds: Search time.
        fe: Seconds of one float evaluation.
    """

    case: str
    drop: float | None
    method: str
    cost: float | None
    evaluations: int
    equivalents: float
    seconds: float
    fe: float

    @property
    def float_evaluations(self) -> float:
        """Search time in float evaluations."""
        return self.seconds / self.fe

    def cells(self) -> list[str]:
        """One row of the table."""
        goal = "cosine, SQNR" if self.drop is None else f"{100 * self.drop:.1f}"
        cost = "not met" if self.cost is None else f"{self.cost:.3f}"
        figures = [f"{self.equivalents:.1f}", f"{self.float_evaluations:.1f}", f"{self.seconds:.2f}", f"{self.fe:.3f}"]
        return [self.case, goal, self.method, cost, str(self.evaluations), *figures]


SMALL_HEAD = ("network", "target", "goal", "assignments", "tried", "optimum", *METHODS)
SHARED_HEAD = ("case", "goal", "method", "cost", "evaluations", "full sets", "FE", "seconds", "float s")
SUMMARY_HEAD = ("what", "wanted", "measured")


def summary(small: Sequence[Small], shared: Sequence[Shared], integer: Sequence[Shared]) -> list[tuple[str, str, str]]:
    """What is promised, and what was measured."""
    rows = [*_of_small(small), *_of_auto(shared), *_against_ladder(shared)]
    if integer:
        figures = [row.float_evaluations for row in integer if row.fe >= LONG]
        rows.append(("FE of auto, integer arithmetic, long cases", "mean <= 15, worst <= 30", _mean_worst(figures)))
    return rows


def _of_small(small: Sequence[Small]) -> Iterable[tuple[str, str, str]]:
    if not small:
        return
    n_diffuse = sum(row.diffuse for row in small)
    clear = [row for row in small if row.is_clear]
    yield ("networks; diffuse ones; goals above two sd", ">= 20; >= 5", f"{len(small)}; {n_diffuse}; {len(clear)}")
    for method in METHODS:
        gaps = [gap for row in small if (gap := row.gap(method)) is not None]
        near = [gap for row in clear if (gap := row.gap(method)) is not None and gap <= NEAR]
        wanted = "mean <= 2 %; >= 70 %" if method == "auto" else ""
        share = f"within 2 % on {len(near)} of {len(clear)} clear goals; missed {len(small) - len(gaps)}"
        yield f"cost above the optimum: {method}", wanted, f"mean {_percent(_mean(gaps))}; {share}"
        yield f"evaluations: {method}", "", _mean_worst([row.evaluations[method] for row in small])


def _of_auto(shared: Sequence[Shared]) -> Iterable[tuple[str, str, str]]:
    auto = [row for row in shared if row.method == "auto"]
    if not auto:
        return
    long = [row for row in auto if row.fe >= LONG]
    labelled = [row.float_evaluations for row in long if row.drop is not None]
    others = [row.float_evaluations for row in long if row.drop is None]
    yield f"FE of auto, float evaluation >= {LONG} s, labels", "mean <= 6, worst <= 10", _mean_worst(labelled)
    yield f"FE of auto, float evaluation >= {LONG} s, no labels", "worst <= 15", _mean_worst(others)
    short = [row.seconds for row in auto if row.fe < LONG]
    yield f"seconds of auto, float evaluation < {LONG} s", "worst <= 10", _mean_worst(short)
    yield "full-set equivalents of auto", "mean <= 3.5, worst <= 6", _mean_worst([row.equivalents for row in auto])


def _against_ladder(shared: Sequence[Shared]) -> Iterable[tuple[str, str, str]]:
    by_goal: dict[tuple[str, float | None], dict[str, Shared]] = {}
    for row in shared:
        by_goal.setdefault((row.case, row.drop), {})[row.method] = row
    pairs = [found for found in by_goal.values() if "ladder" in found and found["ladder"].cost is not None]
    if not pairs:
        return
    dearer = [_cost(found["auto"]) - _cost(found["ladder"]) for found in pairs]
    yield "cost of auto - cost of ladder", "<= 0.01 everywhere", f"worst {max(dearer):+.3f} over {len(dearer)} goals"
    loose = [found for found in pairs if _cost(found["ladder"]) > (1 + NEAR) * _best(found)]
    saved = [_saved(found) for found in loose]
    yield (
        "excess cost saved, ladder > 2 % above the best known",
        "mean >= 25 %",
        f"{_percent(_mean(saved))} ({len(saved)})",
    )
    work = [found["auto"].float_evaluations / found["ladder"].float_evaluations for found in loose]
    yield "FE of auto over FE of ladder, same goals", "<= 0.5", _mean_worst(work)
    for method in METHODS:
        gaps = [_cost(found[method]) / _best(found) - 1 for found in pairs if method in found]
        met = [gap for gap in gaps if np.isfinite(gap)]
        told = f"mean {_percent(_mean(met))}, worst {_percent(max(met, default=NO_ROW))}; missed {len(gaps) - len(met)}"
        work = [found[method].float_evaluations for found in pairs if method in found]
        yield f"cost above the best known, FE: {method}", "", f"{told}; FE {_mean_worst(work)}"


def _best(found: Mapping[str, Shared]) -> float:
    return min(map(_cost, found.values()))


def _saved(found: Mapping[str, Shared]) -> float:
    auto, ladder = _cost(found["auto"]) - 1, _cost(found["ladder"]) - 1
    return 1 - auto / ladder


def _cost(row: Shared) -> float:
    return float("inf") if row.cost is None else row.cost


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else NO_ROW


def _mean_worst(values: Sequence[float]) -> str:
    return f"mean {_mean(values):.1f}, worst {max(values):.1f} ({len(values)})" if values else "-"


def _percent(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{100 * value:.1f} %"
