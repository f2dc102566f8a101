"""What cannot be meant, as far as it is known before the search; with ``strict`` it ends the study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.diagnosis.meaning import (
    GoalFacts,
    batch_meaning,
    data_meaning,
    goal_meaning,
    loop_meaning,
    output_meaning,
)
from search.diagnosis.quantized import quantized_findings, quantized_record
from search.errors import InvalidDataError
from search.graph.description import ModelDescription
from search.graph.network import Network
from search.metrics.reductions import WholeLoop
from search.records.finding import Finding
from search.spec.metric_names import METRICS
from search.strategies.shared.goals import GoalState
from search.study.results import Results
from search.targets.legalise import choices as target_choices
from search.work.problem import Problem


def doubts(problem: Problem, results: Results, goals: Sequence[GoalState]) -> Iterator[Finding]:
    """Findings on goals, data and the float model that need no trial."""
    if results.check is not None:
        check = results.check.value
        same = problem.evaluation is not None and problem.evaluation == problem.calibration
        yield from batch_meaning(check.model.mixes)
        yield from data_meaning(check.n_calibration, check.extremes, is_random=problem.is_random, same_data=same)
        yield from _mostly_float(problem, check.model.network)
        yield from loop_meaning(goal.id for goal in goals if isinstance(goal.metric.reduction, WholeLoop))
        yield from goal_meaning([_facts(goal, check.model) for goal in goals], n_samples=check.n_samples)
    if results.float_model is not None:
        yield from output_meaning(results.float_model.measured.value.constant)


def _mostly_float(problem: Problem, network: Network) -> Iterator[Finding]:
    choices = target_choices(network, problem.target)
    record = quantized_record(network, choices, is_float_allowed=problem.spec.allow_float)
    yield from quantized_findings(network, choices, record)


def refuse_doubts(problem: Problem, found: Sequence[Finding]) -> None:
    """With ``strict``, refuse a study that has findings other than notes.

    Raises:
        InvalidDataError: Says all of them.
    """
    told = [finding for finding in found if finding.severity != "note"]
    if problem.spec.strict and told:
        listed = " ".join(f"{finding.code}: {finding.message} {finding.advice}" for finding in told)
        raise InvalidDataError(f"strict: {listed}")


def _facts(goal: GoalState, model: ModelDescription) -> GoalFacts:
    shape = next((one.shape for one in model.outputs if one.name == goal.output), ())  # of a part it is open
    return GoalFacts(
        id=goal.id,
        metric=goal.metric.name,
        is_share=goal.metric.name in METRICS and METRICS[goal.metric.name].share,
        required=goal.required,
        float_value=goal.float_value,
        is_rate=goal.metric.is_rate,
        classes=shape[1] if len(shape) > 1 else None,
    )
