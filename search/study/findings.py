"""All findings of a finished study, most serious first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from search.diagnosis.arithmetic import (
    BothWays,
    evaluator_findings,
    exported_findings,
    infeasible_findings,
    interior_findings,
    square_findings,
    warning_findings,
)
from search.diagnosis.delivered import gap_findings, missing_findings, route_findings
from search.diagnosis.fallbacks import fallback_findings
from search.diagnosis.feasibility import nothing_complete_findings, nothing_runs_findings
from search.diagnosis.goal import goal_findings
from search.diagnosis.model import model_findings
from search.diagnosis.once import once_per_kind
from search.diagnosis.quantized import quantized_findings
from search.diagnosis.ranges import clipping_findings, range_findings
from search.diagnosis.remaining import remaining_findings
from search.diagnosis.shared_scale import shared_scale_findings
from search.diagnosis.tables import both_sides_findings, order_findings, tail_findings
from search.diagnosis.timing import timing_findings
from search.diagnosis.toolchain import toolchain_findings
from search.export.attempts import missing
from search.records.finding import Finding
from search.records.missing import Missing
from search.sensitivity.table import Table
from search.strategies.shared.session import TrialSession
from search.strategies.shared.setting import Setting
from search.strategies.shared.trial import Trial
from search.study.delivering import goals_above_float
from search.study.doubts import doubts
from search.study.plan import Finished
from search.study.quantized import quantized_of
from search.study.timing import timing_of
from search.study.values import value_from
from search.targets.placement import place_by
from search.work.problem import Problem

_ORDER = {"error": 0, "warning": 1, "note": 2}


def findings_of(problem: Problem, finished: Finished) -> tuple[Finding, ...]:
    """Everything the study has to say beside its numbers."""
    found = once_per_kind([*_as_far_as_possible(_all(problem, finished)), *missing_findings(_missing(finished))])
    return by_severity(found)


def by_severity(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings, most serious first; otherwise in their order."""
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.severity]))


def _missing(finished: Finished) -> Iterator[Missing]:
    """What could not be delivered: whole steps, and single files."""
    yield from finished.results.missing
    if finished.results.export is not None:
        yield from finished.results.export.value.missing


def _as_far_as_possible(found: Iterator[Finding]) -> Iterator[Finding]:
    """Findings up to one that cannot be made; then that."""
    try:
        yield from found
    except Exception as error:  # noqa: BLE001  # a search that is finished is never thrown away
        yield from missing_findings([missing("the rest of the findings", error)])


def _all(problem: Problem, finished: Finished) -> Iterator[Finding]:
    session, chosen, results = finished.session, finished.chosen, finished.results
    yield from toolchain_findings(problem.target)
    if problem.is_random:
        yield Finding(
            code="random-calibration",
            severity="warning",
            message="Calibrated on random numbers: ranges and accuracy mean nothing, only the flow was run.",
            advice="Give --calibration with real samples.",
        )
    if results.check is not None:
        yield from model_findings(results.check.value.model, problem.target.fused)
        yield from doubts(problem, results, () if session is None else session.setting.goals)
    yield from _without_answer(problem, finished)
    if session is None:
        return
    setting = session.setting
    yield from _about_the_choice(problem, finished)
    if finished.finalists is not None:
        yield from timing_findings(timing_of(finished), floor=finished.finalists.floor)
    missed = chosen is not None and not chosen.is_met
    if missed and chosen is not None:
        above = {goal.id for goal in goals_above_float(setting.goals)}
        gaps = {goal.id: (chosen.values[goal.id], goal.required, goal.float_value) for goal in setting.goals}
        short = {goal.id for goal in setting.goals if not goal.is_reached(chosen.parts[goal.id])}
        yield from goal_findings(gaps, above=above, short=short)
        yield from exported_findings(one for one in _by_evaluator(finished, chosen) if one.id not in short)
        if not above:
            yield from remaining_findings(_upper_tables(session), setting.extremes, float_gemm=_float_gemm(setting))
    if chosen is not None:
        effective = chosen.configuration.effective
        placement = place_by(setting.book, effective)
        yield from fallback_findings(setting.network, effective, placement)
        yield from shared_scale_findings(setting.network, setting.extremes, placement)
        yield from warning_findings(chosen.warnings)
        yield from interior_findings(chosen.float_interior)
        yield from evaluator_findings(_by_evaluator(finished, chosen))
    yield from infeasible_findings((one.number, one.infeasible) for one in session.trials if one.infeasible is not None)
    yield from tail_findings(session.table_list)
    yield from order_findings(session.table_list)
    yield from both_sides_findings(setting.network, session.table_list, is_missed=_high_missed(session.trials))
    nonfinite = () if results.calibrate is None else results.calibrate.value.nonfinite
    yield from range_findings(setting.network, setting.extremes, nonfinite=nonfinite)
    yield from square_findings(setting.network, setting.extremes)
    if results.float_model is not None:
        yield from clipping_findings(setting.network, setting.extremes, results.float_model.inputs)
    yield from _unoptimized(finished)
    if results.export is not None:
        written = results.export.value
        yield from gap_findings(written.gaps)
        yield from route_findings(written.command, other=written.recalibrates)


def _without_answer(problem: Problem, finished: Finished) -> Iterator[Finding]:
    """Why there is no answer, or only one that the chip cannot run."""
    infeasible = [] if finished.session is None else [one.infeasible for one in finished.session.trials]
    if finished.chosen is None and not problem.is_random:
        yield from nothing_complete_findings(infeasible)
    yield from nothing_runs_findings(infeasible)


def _about_the_choice(problem: Problem, finished: Finished) -> Iterator[Finding]:
    """That another trial was wanted; what the search left in float although it had an integer form.

    What has none is known before the search.
    """
    if finished.passed_over is not None and finished.chosen is not None:
        yield _wanted(finished.chosen, finished.passed_over)
    record = quantized_of(problem, finished)
    if finished.session is not None and record is not None and not record.is_bound:
        setting = finished.session.setting
        yield from quantized_findings(setting.network, [one.choices for one in setting.book.allowed], record)


def _wanted(chosen: Trial, best: Trial) -> Finding:
    return Finding(
        code="wanted-trial",
        severity="note",
        message=f"Trial {chosen.number} (cost {chosen.cost:.3f}) is delivered because it was asked for; the search "
        f"chose trial {best.number} (cost {best.cost:.3f}).",
        advice="Run 'bitbudget export' without --trial for what the search chose.",
        evidence={"delivered": chosen.number, "best": best.number},
    )


def _by_evaluator(finished: Finished, chosen: Trial) -> Iterator[BothWays]:
    """Goals of the delivered configuration in integers and as a Q/DQ model, where they were measured apart."""
    session, recheck = finished.session, finished.results.recheck
    if session is None or recheck is None or session.setting.evaluator != "integer":
        return
    for goal in session.setting.goals:
        yield BothWays(
            id=goal.id,
            metric=goal.metric.name,
            required=goal.required,
            direction=goal.metric.direction,
            integer=chosen.values[goal.id],
            qdq=value_from(goal, recheck),
        )


def _high_missed(trials: list[Trial]) -> bool:
    """Whether the upper bound, the first trial of every ladder, misses the goal."""
    return bool(trials) and not trials[0].is_met


def _upper_tables(session: TrialSession) -> list[Table]:
    """Tables of the last upper bound that misses the goal, none if there is none."""
    bounds = {trial.stage for trial in session.trials if "upper bound" in trial.why and not trial.is_met}
    found = [table for table in session.table_list if table.base in bounds]
    return [table for table in found if table.base == found[-1].base]


def _float_gemm(setting: Setting) -> bool:
    """Whether some gemm may run in float on this chip."""
    network = setting.network
    return any(
        group.is_gemm and any(precision.is_float for precision in allowed.choices)
        for group, allowed in zip(network.groups, setting.book.allowed, strict=True)
    )


def _unoptimized(finished: Finished) -> Iterator[Finding]:
    from_recheck, plain = finished.results.recheck, finished.results.unoptimized
    if from_recheck is None or plain is None or finished.session is None or finished.chosen is None:
        return
    for goal in finished.session.setting.goals:
        a, b = value_from(goal, from_recheck), value_from(goal, plain)
        if goal.metric.is_rate and a is not None and b is not None and abs(a - b) > 0.003:
            yield Finding(
                code="runtime-optimizations-matter",
                severity="warning",
                message=f"{goal.id} of the exported model is {a:.4f} at the pinned level and {b:.4f} unoptimized.",
                advice="Decisions near the limit depend on summation order; see docs/numerics.md.",
                evidence={"pinned": a, "unoptimized": b},
            )
