"""What every study begins with: the model checked, ranges from calibration, the float model measured."""

from __future__ import annotations

from search.records.missing import Missing
from search.strategies.exhaustive.strategy import check_countable
from search.study.described import Described, describe
from search.study.items import baseline_item, calibrate_item, check_item, collect_item, float_items, whole_float
from search.study.results import FloatAnswers, Results
from search.tasks import Answer, Item, Plan, R
from search.work.kinds.calibrate import Calibrated
from search.work.problem import Problem


def check(problem: Problem) -> Plan[Described]:
    """Read and check the model and the data."""
    answer = yield from one(check_item(problem))
    described = describe(problem, answer)
    if problem.spec.search.strategy == "exhaustive":
        check_countable(described.pins)
    return described


def calibrate(problem: Problem, described: Described) -> Plan[Results]:
    """Derive ranges from the calibration samples."""
    collected = yield from one(collect_item(problem, described))
    answer: Answer[Calibrated] = yield from one(calibrate_item(problem, collected))
    return Results(calibrate=answer)


def measure_float(problem: Problem, described: Described) -> Plan[Results]:
    """Run the float model on the evaluation samples, and measure what its outputs are worth."""
    items = float_items(problem, described)
    answers = yield items
    forward = [answers[item] for item in items]
    baseline = yield from one(baseline_item(problem, described, forward))
    return Results(float_model=FloatAnswers(run=whole_float(forward, baseline), measured=baseline))


def attempted(item: Item[R]) -> Plan[Answer[R] | Missing]:
    """Ask for one item that delivers alone."""
    answers = yield (item,)
    return answers.attempted(item)


def one(item: Item[R]) -> Plan[Answer[R]]:
    """Ask for one item alone."""
    answers = yield (item,)
    return answers[item]
