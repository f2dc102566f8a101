"""What every study begins with: the model checked, ranges from calibration, the float model measured."""

from __future__ import annotations

from collections.abc import MutableMapping

from search.strategies.exhaustive.strategy import check_countable
from search.study.described import Described, describe
from search.study.items import baseline_item, calibrate_item, check_item, collect_item, float_items, whole_float
from search.tasks import Item, ItemResult, Plan
from search.work.problem import Problem


class Opening:
    """The plans of the beginning; all but ``check`` need its answer.

    Args:
        problem: The study.
        results: Where results are kept by role.
    """

    def __init__(self, problem: Problem, results: MutableMapping[str, ItemResult]) -> None:
        self._problem = problem
        self._results = results

    def check(self) -> Plan[Described]:
        """Read and check the model and the data."""
        check = yield from one(check_item(self._problem))
        self._results["check"] = check
        self._described = describe(self._problem, check)
        if self._problem.spec.search.strategy == "exhaustive":
            check_countable(self._described.pins)
        return self._described

    def calibrate(self) -> Plan[ItemResult]:
        """Ranges from the calibration samples."""
        collect = collect_item(self._problem, self._described)
        collected = yield from one(collect)
        self._results["calibrate"] = yield from one(calibrate_item(self._problem, collect, collected))
        return self._results["calibrate"]

    def measure_float(self) -> Plan[tuple[ItemResult, ItemResult]]:
        """The float model on the evaluation samples, and what its outputs are worth."""
        items = float_items(self._problem, self._described)
        found = yield items
        forward = [found[item.digest] for item in items]
        baseline = yield from one(baseline_item(self._problem, self._described, forward))
        self._results.update({"float": whole_float(forward, baseline), "baseline": baseline})
        return self._results["float"], baseline


def one(item: Item) -> Plan[ItemResult]:
    """One item alone."""
    results = yield (item,)
    return results[item.digest]
