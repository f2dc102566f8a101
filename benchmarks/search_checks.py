"""Checks beside costs: how well few samples order the points, how fast the estimator is, whether runs are identical."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.search_lab import Lab
from benchmarks.search_summary import Line, verdict
from search.precision import Format
from search.sensitivity.table import Table
from search.strategies.auto.noise_model import NoiseModel, OutputNoise, power
from search.strategies.shared.attenuation import ChoiceSpace, NoiseAttenuation
from search.strategies.shared.lp_relaxation import raised
from search.strategies.shared.probing import missed, tables
from search.strategies.shared.session import TrialSession
from search.strategies.shared.setting import Setting
from search.strategies.shared.trial import Trial
from search.targets.legalise import uniform
from search.tasks import Plan

TRUTH = 1000
SHARE, FEWEST_ROWS = 0.01, 10
DRAWN = 20_000
EXAMPLE = Path("examples/digits/job.yaml")
TIMES = ("seconds", "float_evaluation_seconds")


@dataclass(frozen=True)
class Ranking:
    """One table from few samples against the same from many.

    Attributes:
        case: Case and output.
        rows: Rows above 1 % of the largest.
        spearman: Over these rows; None where they are too few.
        overlap: Share of these rows among as many that few samples put first.
    """

    case: str
    rows: int
    spearman: float | None
    overlap: float


@dataclass
class _Tables:
    """Measures the tables of all low twice; where it meets a goal, the output's table as if it missed it."""

    few: tuple[Table, ...] = ()
    many: tuple[Table, ...] = ()
    base: Trial | None = None

    def __call__(self, session: TrialSession) -> Plan[None]:
        setting = session.setting
        low = uniform(setting.network, setting.target, "low")
        self.base = base = yield from session.evaluate(low, stage="all low", errors=True, provisional=True)
        wanted = missed(setting, base)
        searched = yield from _few(setting, base, wanted)
        as_if = yield from _few(setting, base, setting.ranking_values)
        self.few = tuple(own if own.output in wanted else other for own, other in zip(searched, as_if, strict=True))
        self.many = yield from _thorough(setting, base)


def _few(setting: Setting, base: Trial, relied: Collection[str]) -> Plan[tuple[Table, ...]]:
    """The tables of ``base`` on few samples, the order of the outputs ``relied`` made reliable."""
    return (yield from tables(setting, base, "few", formats=(Format.INT8,), every=True, spared=False, relied=relied))


def _thorough(setting: Setting, base: Trial) -> Plan[tuple[Table, ...]]:
    """The tables of ``base`` on ``TRUTH`` samples, whatever they are."""
    every = [(i, 0.0) for i in range(min(TRUTH, setting.n_samples))]
    worst = {output: dict.fromkeys(found, every) for output, found in base.worst.items()}
    whole = replace(base, worst=worst)
    return (yield from tables(setting, whole, "many", formats=(Format.INT8,), every=True, spared=False, count=TRUTH))


def rankings(name: str, lab: Lab, goals: Any) -> Iterator[Ranking]:
    """Compare the tables of one case."""
    tables = _Tables()
    lab.search(instead=tables, goal=goals, strategy="auto")
    for few, many in zip(tables.few, tables.many, strict=True):
        truth = {row.point: row.value for row in many.rows}
        found = {row.point: row.value for row in few.rows}
        kept = [point for point, value in truth.items() if value >= SHARE * max(truth.values())]
        first = [row.point for row in few.rows[: len(kept)]]
        rank = None
        if len(kept) >= FEWEST_ROWS:
            rank = float(stats.spearmanr([truth[p] for p in kept], [found[p] for p in kept]).statistic)
        yield Ranking(f"{name}, {few.output}", len(kept), rank, len(set(kept) & set(first)) / max(1, len(kept)))


def estimator_speed(lab: Lab, goals: Any) -> tuple[int, float]:
    """Return the number of groups of a case, and how many assignments the estimator predicts per second."""
    tables = _Tables()
    found = lab.search(instead=tables, goal=goals, strategy="auto")
    setting, base = found.session.setting, tables.base
    assert base is not None
    effective = base.configuration.effective
    choices = tuple(raised(setting.pins.allowed[g], own) for g, own in enumerate(effective.precisions))
    options = ChoiceSpace(setting.book, effective, choices)
    table = tables.few[0]
    levels = NoiseAttenuation(options, [row.point for row in table.rows])
    noise = OutputNoise(levels, [power(row.value, row.metric) for row in table.rows], limit=0.01)
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(len(own), size=DRAWN) for own in choices], axis=1).astype(np.uint8)
    estimator = NoiseModel(levels, {table.output: noise})
    estimator.predict(rows[:1])
    setting.cost.indices(np.zeros((1, len(choices)), np.uint8))  # tables that are made once
    start = time.process_time()
    estimator.predict(rows)
    setting.cost.indices(np.zeros((DRAWN, len(choices)), np.uint8))
    return len(choices), DRAWN / (time.process_time() - start)


def ranking_lines(ranked: Sequence[Ranking], speeds: Sequence[tuple[int, float]]) -> Iterator[Line]:
    """What is promised of tables and estimator, and what was measured."""
    long = [one.spearman for one in ranked if one.spearman is not None]
    if long:
        told = f"mean {np.mean(long):.3f}, worst {min(long):.3f} ({len(long)} tables)"
        fits = float(np.mean(long)) >= 0.95 and min(long) >= 0.90
        yield "Spearman of few ranking samples with 1000", "mean >= 0.95, worst >= 0.90", told, verdict(met=fits)
    short = [one.overlap for one in ranked if one.spearman is None]
    if short:
        told = f"worst {min(short):.2f} ({len(short)} tables)"
        yield "overlap of the first rows, tables with < 10", ">= 0.9", told, verdict(met=min(short) >= 0.9)
    if speeds:
        groups, speed = max(speeds)
        fits = speed >= 1e5
        yield (
            f"assignments the estimator judges per second, {groups} groups",
            ">= 100000",
            f"{speed:.0f}",
            verdict(met=fits),
        )


def same_lines(runs: Mapping[str, bool]) -> Iterator[Line]:
    """One line per way of running the example again."""
    for how, same in runs.items():
        yield (
            f"identical result of the example: {how}",
            "identical",
            "identical" if same else "differs",
            verdict(met=same),
        )


def identical_runs() -> dict[str, bool]:
    """Whether the example gives the same result twice, with two jobs, and with a process per few evaluations."""
    with tempfile.TemporaryDirectory() as folder:
        first = _run(Path(folder) / "first")
        stopped = Path(folder) / "stopped"
        for limit in (1, 2, 4):
            _run(stopped, "--max-evaluations", str(limit))
        return {
            "twice": _run(Path(folder) / "second") == first,
            "two jobs": _run(Path(folder) / "jobs", "--jobs", "2") == first,
            "interrupted after 1, 2 and 4 evaluations": _run(stopped) == first,
        }


def _run(out: Path, *options: str) -> Any:
    program = [sys.executable, "-c", "from bitbudget.__main__ import main; main()", "search"]
    command = [*program, "--spec", str(EXAMPLE), "--out", str(out), *options]
    subprocess.run(command, capture_output=True, check=False)
    return _without_times(json.loads((out / "result.json").read_text()))


def _without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_times(one) for key, one in value.items() if key not in TIMES}
    return [_without_times(one) for one in value] if isinstance(value, list) else value
