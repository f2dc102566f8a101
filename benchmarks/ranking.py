"""How well few ranking samples order the points: ``python -m benchmarks.ranking --spec JOB.yaml [--spec ...]``.

For the first sensitivity table of a search: Spearman correlation of the values from the first 2, 4, 8, 16 and 32 bad
cases with those from 256 samples of the evaluation order, over the rows above 1 % of the largest value.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from search.spec.load import load_job
from search.study.plan import Replay
from search.tasks import ItemResult, Task
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from search.work.kinds.sensitivity import MeasurePoint, run_points
from service.local.inputs import LocalFiles, open_problem
from service.local.store import RunStore

COUNTS = (2, 4, 8, 16, 32)
TRUTH = 256
SHARE = 0.01


def first_table(runner: ItemRunner, store: RunStore) -> tuple[Task, Replay]:
    """Run a search up to its first sensitivity measurement."""
    replay = Replay(runner.problem)
    while tasks := replay.advance(store.results):
        if tasks[0].kind.name == "sensitivity":
            return Task(tuple(item for task in tasks for item in task.items)), replay
        for item, raw in run_items(runner, tasks[0]):
            blobs = {name: store.put(data) for name, data in raw.blobs.items()}
            store.add(ItemResult(item.digest, item.kind.name, raw.data, blobs))
    raise SystemExit("This search measures no sensitivity: all-low meets the goal.")


def worst_samples(replay: Replay, output: str) -> list[int]:
    """Bad cases of the base by cosine, worst first."""
    session = replay.progress.session
    assert session is not None
    trial = next(trial for trial in reversed(session.trials) if trial.worst and not trial.is_met)
    return [sample for sample, _ in trial.worst[output]["cosine"]]


def values(runner: ItemRunner, task: Task, output: str, samples: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Cosine error of every point on these samples."""
    points = [replace(point, samples=tuple(samples)) for point in points_in(task)]
    return np.array([np.mean(raw.value.errors[output]["cosine"]) for raw in run_points(runner, points)])


def points_in(task: Task) -> list[MeasurePoint]:
    """What a task measures."""
    return [item.work for item in task.items if isinstance(item.work, MeasurePoint)]


def report(path: Path) -> None:
    """Print one line per sample count."""
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        store.open({}, force=False)
        local = open_problem(load_job(path.read_text()), base=path.parent)
        runner = ItemRunner(local.problem, LocalFiles(local.paths, store))
        task, replay = first_table(runner, store)
        output = points_in(task)[0].outputs[0]
        truth = values(runner, task, output, runner.order[:TRUTH].tolist())
        kept = truth >= SHARE * truth.max()
        print(f"{path}: {len(truth)} points, {int(kept.sum())} above {SHARE:.0%} of the largest")
        bad = worst_samples(replay, output)
        for count in COUNTS:
            found = values(runner, task, output, bad[:count])
            correlation = stats.spearmanr(found[kept], truth[kept]).statistic
            print(f"  {count:3d} samples: Spearman {correlation:.3f}")
        store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", type=Path, action="append", required=True)
    for spec in parser.parse_args().spec:
        report(spec)
