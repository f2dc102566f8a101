"""The result of a study as far as it is known: of the finished one, else what its worker has told so far."""

from __future__ import annotations

from typing import Any

from search.records.document import read
from search.records.goal import GoalRecord
from search.records.quantized import QuantizedRecord
from search.records.result import CostRecord, Result
from search.records.trial import TrialRecord
from search.spec.job import SearchSettings
from service.store.db.studies import Study, StudyLine
from service.usecases.studies.front import lower_metrics

_VERIFIED = {"integer": "simulator", "fake_quant": "fake_quant"}


def result_of(study: Study | StudyLine) -> Result | None:
    """Return what the row of a finished study says of its result; its trials and files have tables of their own."""
    if not study.result or study.outcome is None:
        return None
    evaluators = {goal.evaluator for goal in goals_of(study)}
    verified = next((word for name, word in _VERIFIED.items() if name in evaluators), None)
    known = {"verified": verified, "outcome": study.outcome, "stopped": study.stopped, "target": study.target}
    return read(Result, {**_asked(study), **known, **study.result})


def goals_of(study: Study | StudyLine) -> tuple[GoalRecord, ...]:
    """Return the goals of a study: with what was reached once it has a result."""
    found = (study.result or {}).get("metrics") or (study.progress or {}).get("goals") or ()
    return tuple(read(GoalRecord, goal) for goal in found)


def cost_of(study: Study | StudyLine) -> CostRecord:
    """Return the cost of a study: its unit and bounds, and the delivered assignment's once it has a result."""
    return read(CostRecord, (study.result or {}).get("cost") or (study.progress or {}).get("cost") or {})


def quantized_of(study: Study | StudyLine) -> QuantizedRecord | None:
    """Return how much of the delivered assignment is in integers; None before a result, and in those without it."""
    found = (study.result or {}).get("quantized")
    return None if found is None else read(QuantizedRecord, found)


def chosen_of(study: Study | StudyLine) -> int | None:
    """Return the number of the delivered trial; None before there is one, and in results that do not name it."""
    found = (study.result or {}).get("chosen_trial")
    return found if isinstance(found, int) else None


def goals_seen(study: Study, records: tuple[TrialRecord, ...]) -> tuple[GoalRecord, ...]:
    """Return the goals of a study; by the names its trials have where nothing else is known."""
    lower = lower_metrics(study.spec)
    names = dict.fromkeys(goal for record in records for goal in record.seen)
    return goals_of(study) or tuple(
        GoalRecord(id=name, direction="lower" if name.rpartition("@")[0] in lower else "higher") for name in names
    )


def _asked(study: Study | StudyLine) -> dict[str, Any]:
    """What was asked, for rows whose result does not repeat it."""
    spec = study.spec if isinstance(study, Study) else {}
    search, target = spec.get("search") or {}, spec.get("target") or {}
    return {
        "strategy": search.get("strategy", SearchSettings().strategy),
        "seed": search.get("seed"),
        "toolchain": target.get("toolchain"),
    }
