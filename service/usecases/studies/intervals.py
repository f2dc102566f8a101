"""How sure the values of a complete trial are: Wilson's 95 % interval of those that are a share of right samples.

The other metrics need the results of every sample for one; the result of a study has theirs for what was chosen. The
samples of a trial that was stopped are no random draw, so its values have none: its estimates have theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

from search.metrics.proportions import Limits, wilson
from search.records.trial import TrialRecord
from search.spec.metric_names import RATES


def intervals_of(trial: TrialRecord) -> Mapping[str, Limits | None]:
    """Return goal id to interval; None where the value has none."""
    return {goal: _interval(goal, value, trial) for goal, value in trial.seen.items()}


def _interval(goal: str, value: float | None, trial: TrialRecord) -> Limits | None:
    is_share = goal.partition("@")[0] in RATES
    if value is None or not is_share or not trial.is_complete or trial.n_run < 1 or not 0 <= value <= 1:
        return None
    return wilson(round(value * trial.n_run), trial.n_run)
