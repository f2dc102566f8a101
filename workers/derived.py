"""What people see of a study while it runs, derived from its replay: phase, progress and the rows of its trials."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from search.strategies.shared.trial import Trial
from search.study.plan import Replay
from search.study.trial_records import trial_records
from search.work.kinds.registry import KINDS
from service.store.db.trials import TrialRow

DELIVER = "deliver"
DELIVER_LABEL = "write report and result"
DELIVER_PHASE = "report"


def phase_of(kind: str) -> str:
    """Phase of a kind of task; kinds of later versions are their own phase."""
    if kind == DELIVER:
        return DELIVER_PHASE
    return KINDS[kind].phase if kind in KINDS else kind


def trial_rows(replay: Replay) -> list[TrialRow]:
    """The trials so far, as they are stored."""
    session = replay.progress.session
    if session is None:
        return []
    pairs = zip(trial_records(session), session.trials, strict=True)
    return [TrialRow(replace(record, seconds=round(record.seconds, 6)), _detail(trial)) for record, trial in pairs]


def search_facts(replay: Replay) -> dict[str, Any]:
    """What trials are judged by: goals, bounds of the cost, size of the evaluation set; empty before the search."""
    if replay.progress.session is None:
        return {}
    setting = replay.progress.session.setting
    low, high = (setting.cost.in_unit(setting.cost.index(bound)) for bound in setting.bounds)
    goals = [
        {
            "id": goal.id,
            "direction": goal.metric.direction,
            "float": _number(goal.float_value),
            "required": _number(goal.required),
        }
        for goal in setting.goals
    ]
    cost = {"unit": setting.cost.unit, "all_low": _number(low), "all_high": _number(high)}
    return {"goals": goals, "cost": cost, "n_samples": setting.n_samples}


def _number(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


def _detail(trial: Trial) -> dict[str, Any]:
    return {
        "requested": trial.requested.to_json(),
        "effective": trial.configuration.effective.to_json(),
        "reasons": {str(group): why for group, why in trial.reasons.items()},
    }
