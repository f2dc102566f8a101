"""How good the strategies are and what they cost: ``python -m benchmarks.search [--cases DIR] [--write FILE]``.

Four parts, each can be left out:

- *small*: random networks and a pinned example whose whole space is searched; how far each strategy's answer lies above
  the optimum.
- *shared*: every case folder of DIR on one chip, two goals: cost, float evaluations and full-set equivalents of every
  strategy, with the Q/DQ evaluator.
- *integer*: ``auto`` on the same cases by integer arithmetic.
- *checks*: the order that few samples give the points, the speed of the estimator, runs that must be identical.

All strategies of a case share its calibration, cost model and evaluator, and every result is computed once; a search is
charged for all it asked (search_lab.py). A case folder is what ``benchmarks.cases`` takes.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import float_seconds, job_of, markdown, stamp
from benchmarks.search_checks import Ranking, estimator_speed, identical_runs, ranking_lines, rankings, same_lines
from benchmarks.search_lab import Found, Lab
from benchmarks.search_nets import Kind, goal, kinds, write
from benchmarks.search_peers import bounds, peer
from benchmarks.search_summary import METHODS, SHARED_HEAD, SMALL_HEAD, SUMMARY_HEAD, Line, Shared, Small, summary
from search.metrics.part import merge
from search.strategies.exhaustive.strategy import choices_above_low

SPECS: Mapping[str, Mapping[str, Any]] = {
    "auto": {"strategy": "auto"},
    "ladder": {"strategy": "ladder"},
    "tpe": {"strategy": "optuna", "sampler": "tpe"},
    "nsga2": {"strategy": "optuna", "sampler": "nsga2"},
}
PEERS = ("random", "ort helper")
SAMPLING = ("tpe", "nsga2", "random")
DROPS = (0.005, 0.01)
LEAST_TO_DECIDE = 0.005  # top-1 between all low and all high of a small network
SMALL = """Cost above the optimum / evaluations. Goal: allowed drop of top-1 in points; `*`: within two standard
deviations of the paired noise. Tried: assignments until the optimum, cheapest first. Labels are what float says. Where
early rejection cost the exhaustive search its optimum, the cheapest answer with the same calibration counts as such.
`tpe` and `nsga2` choose the calibration, too, and can be below."""
SHARED = """Goal: allowed drop of top-1 in points, or cosine >= 0.99 and SQNR >= 30 dB on every output. Cost is an index
with all low = 1. FE: seconds of the search over those of a float evaluation. Where low meets the goal, only `auto` is
run. `tpe`, `nsga2` and `random` may use 20 evaluations and are left out once the benchmark has run for `--minutes`."""
DEEP = Kind("deep", seed=0, convs=98)  # a hundred groups and more, for the speed of the estimator
MOST_SAMPLED = 20  # evaluations of the sampling strategies; the others end by themselves


def by_method(lab: Lab, method: str, goals: Any = None, **more: Any) -> Found:
    """Run one method."""
    if method in PEERS:
        return lab.search(instead=peer(method, lab, MOST_SAMPLED), goal=goals, strategy="ladder", **more)
    most = MOST_SAMPLED if method in SAMPLING else None
    return lab.search(goal=goals, most=most, **{**SPECS[method], **more})


def small_row(kind: Kind) -> Small | None:
    """One network: the optimum by trying everything, and what the methods find; None where low is as good as high."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(write(kind, Path(folder)))
        drop = _drop(lab, kind)
        if drop is None:
            return None
        optimum = lab.search(strategy="exhaustive", goal=goal(drop, heads=kind.heads))
        found = {method: by_method(lab, method, goal(drop, heads=kind.heads)) for method in METHODS}
    pins = optimum.session.setting.pins
    comparable = [one for one in (optimum, *found.values()) if _is_comparable(one)]
    best = min(comparable, key=lambda one: one.cost or 0.0)
    return Small(
        name=kind.name,
        target=kind.target,
        diffuse=kind.is_diffuse,
        drop=drop,
        n_assignments=int(np.prod([len(own) for own in choices_above_low(pins)])),
        tried=optimum.evaluations,
        optimum=best.cost or 0.0,
        noise=paired_noise(best),
        costs={method: one.cost for method, one in found.items()},
        evaluations={method: one.evaluations for method, one in found.items()},
    )


def _is_comparable(found: Found) -> bool:
    """Whether a search met the goal with the calibration that all have in common."""
    usual = found.session.setting.calibration
    return found.trial is not None and found.trial.configuration.calibration == usual


def _drop(lab: Lab, kind: Kind) -> float | None:
    """An allowed drop between what all high and all low lose; None if there is nothing between them."""
    trials = lab.search(instead=bounds, goal=goal(1e-9, heads=kind.heads), strategy="ladder").session.trials
    low, high = (min(value or 0.0 for value in trial.values.values()) for trial in trials)
    return None if high - low < LEAST_TO_DECIDE else round(1.0 - high + kind.share * (high - low), 4)


def paired_noise(found: Found) -> float:
    """Standard deviation of the drop of the answer as an estimate of that on fresh samples: samples turned over."""
    if found.trial is None:
        return float("nan")
    goal = found.session.setting.goals[0]
    seen, reference = merge(found.trial.parts[goal.id]).values, goal.float_part
    if seen is None or reference is None or reference.values is None:
        return float("nan")
    change = seen.astype(float) - reference.values.astype(float)
    return float(np.std(change) / np.sqrt(len(change)))


def shared_rows(folder: Path, target: str, *, sampled_until: float) -> list[Shared]:
    """One case: every method at every goal; what samples only until a point in time, by ``time.monotonic``."""
    job = job_of(folder, target)
    job["search"] = {"evaluator": "fake_quant"}
    fe, lab, rows = float_seconds(folder, job), Lab(job), []
    labelled = "max_drop" in job["goal"][0]
    for drop in DROPS if labelled else DROPS[-1:]:
        goals = [{**one, "max_drop": drop} if "max_drop" in one else one for one in job["goal"]]
        for method in METHODS:
            if method in SAMPLING and time.monotonic() > sampled_until:
                continue
            rows.append(_shared(folder.name, drop, method, by_method(lab, method, goals), fe, labelled=labelled))
            print(*rows[-1].cells(), sep="  ", file=sys.stderr, flush=True)
            if method == "auto" and rows[-1].evaluations == 1 and rows[-1].cost is not None:
                break  # low meets the goal: nothing to compare
    return rows


def integer_row(folder: Path, target: str) -> Shared:
    """One case: ``auto`` by integer arithmetic."""
    job = job_of(folder, target)
    found = by_method(Lab(job), "auto", evaluator="integer")
    row = _shared(
        folder.name, DROPS[-1], "auto", found, float_seconds(folder, job), labelled="max_drop" in job["goal"][0]
    )
    print("integer", *row.cells(), sep="  ", file=sys.stderr, flush=True)
    return row


def check_lines(folders: Sequence[Path], target: str) -> list[Line]:
    """Checks beside costs, as lines of the summary."""
    ranked: list[Ranking] = []
    speeds: list[tuple[int, float]] = []
    for folder in folders:
        job = job_of(folder, target)
        job["search"] = {"evaluator": "fake_quant"}
        lab = Lab(job)
        strict = [{**one, "max_drop": DROPS[0]} if "max_drop" in one else one for one in job["goal"]]
        if by_method(lab, "auto", strict).evaluations > 1:
            ranked += rankings(folder.name, lab, strict)
            speeds.append(estimator_speed(lab, strict))
            print(*ranked[-1:], *speeds[-1:], file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as deep:
        speeds.append(estimator_speed(Lab(write(DEEP, Path(deep))), goal(0.01)))
    return [*ranking_lines(ranked, speeds), *same_lines(identical_runs())]


def _shared(name: str, drop: float, method: str, found: Found, fe: float, *, labelled: bool) -> Shared:
    return Shared(
        case=name,
        drop=drop if labelled else None,
        method=method,
        cost=found.cost,
        evaluations=found.evaluations,
        equivalents=found.equivalents,
        seconds=found.seconds,
        fe=fe,
    )


def main() -> None:
    """Run the parts, print the tables, and optionally write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--target", default="j6m")
    parser.add_argument("--parts", nargs="*", default=["small", "shared", "integer", "checks"])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--shift", type=int, default=0, help="added to the seeds of the small networks: fresh ones")
    parser.add_argument("--jobs", type=int, default=2, help="networks at the same time; cases run one by one")
    parser.add_argument("--minutes", type=float, default=20.0, help="no new sampling search on a case after these")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    began = time.monotonic()
    small: list[Small] = []
    shifted = [replace(kind, seed=kind.seed + args.shift) for kind in kinds()]
    wanted = [kind for kind in shifted if not args.only or any(kind.name.startswith(one) for one in args.only)]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        for row in pool.map(small_row, wanted if "small" in args.parts else ()):
            if row is not None:
                small.append(row)
                print(*row.cells(), sep="  ", file=sys.stderr, flush=True)
    gc.freeze()  # as the command line does
    folders = _case_folders(args.cases, args.only)
    integer = [integer_row(one, args.target) for one in folders if "integer" in args.parts]
    until = began + 60 * args.minutes
    shared = [
        row for one in folders if "shared" in args.parts for row in shared_rows(one, args.target, sampled_until=until)
    ]
    checks = check_lines(folders, args.target) if "checks" in args.parts else []
    command = f"python -m benchmarks.search{' --cases DIR' if args.cases else ''} --parts {' '.join(args.parts)}"
    command += f" --shift {args.shift}" if args.shift else ""
    text = report(
        small, shared, integer, checks, head=f"{stamp(command)} {(time.monotonic() - began) / 60:.1f} minutes."
    )
    print(text)
    if args.write:
        args.write.write_text(text)


def _case_folders(cases: Path | None, only: Sequence[str]) -> list[Path]:
    found = [] if cases is None else sorted(path.parent for path in cases.resolve().glob("*/case.json"))
    return [one for one in found if not only or one.name in only]


def report(
    small: Sequence[Small],
    shared: Sequence[Shared],
    integer: Sequence[Shared],
    checks: Sequence[Line] = (),
    *,
    head: str,
) -> str:
    """The page."""
    parts = ["# The search, measured", head, _table(SUMMARY_HEAD, [*summary(small, shared, integer), *checks])]
    if small:
        parts += ["## Networks searched exhaustively", SMALL, _table(SMALL_HEAD, [row.cells() for row in small])]
    if shared:
        parts += ["## Cases, Q/DQ evaluator", SHARED, _table(SHARED_HEAD, [row.cells() for row in shared])]
    if integer:
        parts += ["## Cases, integer arithmetic", _table(SHARED_HEAD, [row.cells() for row in integer])]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown([list(head), *(list(row) for row in rows)])


if __name__ == "__main__":
    main()
