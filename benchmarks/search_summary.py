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
SUMMARY_HEAD = ("what", "wanted", "measured", "verdict")
Line = tuple[str, str, str, str]
MET, MISSED = "met", "**missed**"


def verdict(*, met: bool) -> str:
    """A goal's verdict in a word."""
    return MET if met else MISSED


def summary(small: Sequence[Small], shared: Sequence[Shared], integer: Sequence[Shared]) -> list[Line]:
    """What is promised, what was measured, and whether that is enough; lines without a goal are for comparison."""
    rows = [*_of_small(small), *_of_auto(shared), *_against_ladder(shared)]
    if integer:
        figures = [row.float_evaluations for row in integer if row.fe >= LONG]
        rows.append(_bounded("FE of auto, integer arithmetic, long cases", figures, mean=15, worst=30))
    return rows


def _bounded(what: str, figures: Sequence[float], *, worst: float, mean: float | None = None) -> Line:
    """A line of figures that may not exceed a mean and a worst value."""
    wanted = f"worst <= {worst:g}" if mean is None else f"mean <= {mean:g}, worst <= {worst:g}"
    fits = bool(figures) and max(figures) <= worst and (mean is None or _mean(figures) <= mean)
    return what, wanted, _mean_worst(figures), verdict(met=fits)


def _of_small(small: Sequence[Small]) -> Iterable[Line]:
    if not small:
        return
    n_diffuse = sum(row.diffuse for row in small)
    clear = [row for row in small if row.is_clear]
    counts = f"{len(small)}; {n_diffuse}; {len(clear)}"
    enough = len(small) >= 20 and n_diffuse >= 5
    yield ("networks; diffuse ones; goals above two sd", ">= 20; >= 5", counts, verdict(met=enough))
    for method in METHODS:
        gaps = [gap for row in small if (gap := row.gap(method)) is not None]
        near = [gap for row in clear if (gap := row.gap(method)) is not None and gap <= NEAR]
        share = f"within 2 % on {len(near)} of {len(clear)} clear goals; missed {len(small) - len(gaps)}"
        told = f"mean {_percent(_mean(gaps))}; {share}"
        fits = _mean(gaps) <= NEAR and len(near) >= 0.7 * len(clear) and len(gaps) == len(small)
        own = method == "auto"
        wanted = "mean <= 2 %; within 2 % on >= 70 %" if own else ""
        yield f"cost above the optimum: {method}", wanted, told, verdict(met=fits) if own else ""
        yield f"evaluations: {method}", "", _mean_worst([row.evaluations[method] for row in small]), ""


def _of_auto(shared: Sequence[Shared]) -> Iterable[Line]:
    auto = [row for row in shared if row.method == "auto"]
    if not auto:
        return
    long = [row for row in auto if row.fe >= LONG]
    labelled = [row.float_evaluations for row in long if row.drop is not None]
    others = [row.float_evaluations for row in long if row.drop is None]
    yield _bounded(f"FE of auto, float evaluation >= {LONG} s, labels", labelled, mean=6, worst=10)
    yield _bounded(f"FE of auto, float evaluation >= {LONG} s, no labels", others, worst=15)
    short = [row.seconds for row in auto if row.fe < LONG]
    yield _bounded(f"seconds of auto, float evaluation < {LONG} s", short, worst=10)
    yield _bounded("full-set equivalents of auto", [row.equivalents for row in auto], mean=3.5, worst=6)


def _against_ladder(shared: Sequence[Shared]) -> Iterable[Line]:
    by_goal: dict[tuple[str, float | None], dict[str, Shared]] = {}
    for row in shared:
        by_goal.setdefault((row.case, row.drop), {})[row.method] = row
    pairs = [found for found in by_goal.values() if "ladder" in found and found["ladder"].cost is not None]
    if not pairs:
        return
    dearer = [_cost(found["auto"]) - _cost(found["ladder"]) for found in pairs]
    told = f"worst {max(dearer):+.3f} over {len(dearer)} goals"
    yield "cost of auto - cost of ladder", "<= 0.01 everywhere", told, verdict(met=max(dearer) <= 0.01)
    loose = [found for found in pairs if _cost(found["ladder"]) > (1 + NEAR) * _best(found)]
    saved = [_saved(found) for found in loose]
    told = f"{_percent(_mean(saved))} ({len(saved)})"
    enough = verdict(met=not saved or _mean(saved) >= 0.25)
    yield "excess cost saved, ladder > 2 % above the best known", "mean >= 25 %", told, enough
    work = [found["auto"].float_evaluations / found["ladder"].float_evaluations for found in loose]
    yield (
        "FE of auto over FE of ladder, same goals",
        "<= 0.5",
        f"mean {_mean(work):.2f}, worst {max(work, default=0.0):.2f} ({len(work)})",
        verdict(met=max(work, default=0.0) <= 0.5),
    )
    for method in METHODS:
        gaps = [_cost(found[method]) / _best(found) - 1 for found in pairs if method in found]
        met = [gap for gap in gaps if np.isfinite(gap)]
        told = f"mean {_percent(_mean(met))}, worst {_percent(max(met, default=NO_ROW))}; missed {len(gaps) - len(met)}"
        work = [found[method].float_evaluations for found in pairs if method in found]
        yield f"cost above the best known, FE: {method}", "", f"{told}; FE {_mean_worst(work)}", ""


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
