"""A trial in one line, as local and remote searches print it."""

from __future__ import annotations

from search.records.trial import TrialRecord


def trial_line(trial: TrialRecord) -> str:
    """Return a trial in one line: ``≈`` is the estimate of the full set of one that was stopped early."""
    values = ", ".join(_value(trial, goal) for goal in trial.seen)
    return f"  trial {trial.no:3d}  {trial.stage:<28} cost {trial.cost:.3f}  {values}  {trial.verdict.label}"


def _value(trial: TrialRecord, goal: str) -> str:
    seen = trial.seen[goal]
    shown = "-" if seen is None else f"{seen:.4f}"
    if trial.is_complete or trial.n_samples is None or trial.n_run >= trial.n_samples:
        return f"{goal} {shown}"
    told = f"{shown} seen on {trial.n_run} of {trial.n_samples}"
    estimate = trial.estimates.get(goal)
    if estimate is None:
        return f"{goal} {told}"
    return f"{goal} ≈ {estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f}; {told})"
