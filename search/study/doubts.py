"""What cannot be meant, as far as it is known before the search; with ``strict`` it ends the study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.diagnosis.meaning import GoalFacts, data_meaning, goal_meaning, loop_meaning, output_meaning
from search.diagnosis.quantized import quantized_findings, quantized_record
from search.errors import InvalidDataError
from search.graph.network import Network
from search.metrics.reductions import WholeLoop
from search.records.finding import Finding
from search.spec.metric_names import METRICS
from search.strategies.shared.goals import GoalState
from search.targets.legalise import choices as target_choices
from search.tasks import ItemResult
from search.work.problem import Problem


def doubts(
    problem: Problem, check: ItemResult | None, goals: Sequence[GoalState], baseline: ItemResult | None
) -> Iterator[Finding]:
    """Findings on goals, data and the float model that need no trial."""
    if check is not None:
        same = problem.evaluation is not None and problem.evaluation == problem.calibration
        yield from data_meaning(check.data, is_random=problem.is_random, same_data=same)
        yield from _mostly_float(problem, check)
        n_samples = int(check.data["n_samples"])
        yield from loop_meaning(goal.id for goal in goals if isinstance(goal.metric.reduction, WholeLoop))
        yield from goal_meaning([_facts(goal, check) for goal in goals], n_samples=n_samples)
    if baseline is not None:
        yield from output_meaning(baseline.data.get("constant", ()))


def _mostly_float(problem: Problem, check: ItemResult) -> Iterator[Finding]:
    network = Network.from_json(dict(check.data["network"]))
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


def _facts(goal: GoalState, check: ItemResult) -> GoalFacts:
    shape = dict(check.data["outputs"]).get(goal.output, ())
    return GoalFacts(
        id=goal.id,
        metric=goal.metric.name,
        is_share=goal.metric.name in METRICS and METRICS[goal.metric.name].share,
        required=goal.required,
        float_value=goal.float_value,
        is_rate=goal.metric.is_rate,
        classes=shape[1] if len(shape) > 1 else None,
    )
