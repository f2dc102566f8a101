"""``trials.csv``: every evaluated assignment in order, what was seen of it and why it was taken or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search.export.csv_text import Cell, csv_bytes
from search.records.trial import TrialRecord

_BEFORE = ("trial", "stage", "role", "base", "ratio", "requested", "effective", "cost", "samples")
_OF_GOAL = ("seen", "estimate", "estimate low", "estimate high")
_AFTER = ("verdict", "why", "seconds")


def trials_csv(trials: Iterable[TrialRecord], *, goals: Sequence[str]) -> bytes:
    """Return the file, with four columns per goal: the value on the samples that ran, and what it lets expect of all.

    Args:
        trials: In any order.
        goals: Goal ids.
    """
    header = [*_BEFORE, *(f"{goal} {column}" for goal in goals for column in _OF_GOAL), *_AFTER]
    rows = (
        [*_before(trial), *(cell for goal in goals for cell in _of_goal(trial, goal)), *_after(trial)]
        for trial in sorted(trials, key=lambda trial: trial.no)
    )
    return csv_bytes(header, rows)


def _before(trial: TrialRecord) -> tuple[Cell, ...]:
    base = trial.stage.partition(":")[0]
    digests = (trial.requested, trial.effective)
    return (trial.no, trial.stage, trial.role.value, base, trial.ratio, *digests, trial.cost, trial.n_run)


def _of_goal(trial: TrialRecord, goal: str) -> tuple[Cell, ...]:
    found = trial.estimates.get(goal)
    estimate = (None, None, None) if found is None else (found.value, found.low, found.high)
    return (trial.seen.get(goal), *estimate)


def _after(trial: TrialRecord) -> tuple[Cell, ...]:
    return (trial.verdict.value, trial.why, trial.seconds)
