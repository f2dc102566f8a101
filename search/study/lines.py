"""Trials and tables as the lines of ``trials.csv`` and ``sensitivity.csv``."""

from __future__ import annotations

from search.export.sensitivity_table import SensitivityLine
from search.export.trials_table import TrialLine
from search.sensitivity.points import PointKind
from search.strategies.trial import Trial, Verdict
from search.study.plan import Finished

VERDICTS = {
    Verdict.MET: "met",
    Verdict.MISSED: "not_met",
    Verdict.PROMISING: "promising",
    Verdict.REJECTED: "rejected",
    Verdict.INFEASIBLE: "fail",
}


def trial_lines(finished: Finished) -> list[TrialLine]:
    """One line per trial, in order."""
    return [] if finished.desk is None else [_trial(finished, trial) for trial in finished.desk.trials]


def _trial(finished: Finished, trial: Trial) -> TrialLine:
    return TrialLine(
        trial=trial.number,
        stage=trial.stage,
        base=trial.stage.partition(":")[0],
        ratio=trial.ratio,
        requested=trial.requested.digest[:12],
        effective=trial.configuration.effective.digest[:12],
        cost=trial.cost if finished.desk is None else finished.desk.setting.cost.in_unit(trial.cost),
        samples=trial.n_run,
        verdict=VERDICTS[trial.verdict],
        why=_why(finished, trial),
        seconds=trial.seconds,
        metrics=dict(trial.values),
    )


def _why(finished: Finished, trial: Trial) -> str:
    """What the trial was for, and what kept it from being taken."""
    told = [told for told in (trial.why, failure(trial)) if told]
    for goal in finished.desk.setting.goals if finished.desk is not None else ():
        gap = goal.shortfall(trial.parts[goal.id])
        if trial.verdict is Verdict.MISSED and gap:
            told.append(f"{goal.id} misses by {gap:.6g}")
        elif trial.verdict is Verdict.REJECTED and trial.values[goal.id] is not None:
            told.append(f"{goal.id} {trial.values[goal.id]:.6g} after {trial.n_run} samples rules the goal out")
    return "; ".join(told)


def failure(trial: Trial) -> str:
    """Why the chip cannot run the trial; empty if it can."""
    return "" if trial.infeasible is None else str(trial.infeasible["message"])


def sensitivity_lines(finished: Finished) -> list[SensitivityLine]:
    """One line per row of every table."""
    return [
        SensitivityLine(
            output=row.output,
            metric=row.metric,
            base=row.base,
            op_name=row.op_name,
            sensitive_type="weight" if row.point.kind is PointKind.WEIGHT else "activation",
            op_type=row.op_type,
            value=row.value,
            dtype=row.point.fmt.value,
            flops=2 * row.macs,
            flops_share=row.share,
            group=None if row.group is None else f"g{row.group}",
            rank=row.rank,
        )
        for table in (finished.desk.table_list if finished.desk is not None else [])
        for row in table.rows
    ]
