"""How sure the values of a trial are: Wilson's 95 % interval of those that are a share of right samples.

The other metrics need the results of every sample for one; the result of a study has theirs for what was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping

from search.metrics.proportions import Limits, wilson
from search.spec.metric_names import RATES
from service.store.db.trials import TrialRow


def intervals_of(trial: TrialRow) -> Mapping[str, Limits | None]:
    """Return goal id to interval; None where the value has none."""
    return {goal: _interval(goal, value, trial.n_run) for goal, value in trial.values.items()}


def _interval(goal: str, value: float | None, n: int) -> Limits | None:
    is_share = goal.partition("@")[0] in RATES
    if value is None or not is_share or n < 1 or not 0 <= value <= 1:
        return None
    return wilson(round(value * n), n)
