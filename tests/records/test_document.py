"""Records as JSON and back."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields

import pytest

from search.records.document import read, to_json
from search.records.goal import Certainty, Difference, GoalRecord, certainty_of
from search.records.result import SCHEMA, CostRecord, FrontPoint, Result
from search.records.trial import Estimate, Role, TrialRecord
from search.records.verdict import Outcome, Verdict
from tests.export.report_example import example_result
from tests.trial_rows import trial_record

STOPPED = trial_record(
    2,
    verdict=Verdict.REJECTED,
    role=Role.ALL_LOW,
    n_run=4,
    seen={"top1@a": 0.5, "mae@b": None},
    estimates={"top1@a": Estimate(0.8, 0.7, 0.9)},
)


@pytest.mark.parametrize("trial", [trial_record(1), STOPPED])
def test_a_trial_comes_back_as_it_was(trial: TrialRecord) -> None:
    assert read(TrialRecord, json.loads(json.dumps(to_json(trial)))) == trial


def test_a_result_comes_back_as_it_was() -> None:
    result = Result.from_json(example_result())
    assert Result.from_json(json.loads(result.to_text())) == result
    assert set(result.to_json()) == {field.name for field in fields(Result)}
    assert result.metrics[0].float_value == result.to_json()["metrics"][0]["float"] == 0.9153


def test_numbers_that_json_cannot_carry_become_null() -> None:
    assert to_json(CostRecord(chosen=math.nan, all_low=math.inf))["chosen"] is None


@pytest.mark.parametrize("word", ["missed", "infeasible", "rejected early", "", None, 3])
def test_a_word_that_is_no_verdict_is_refused_with_its_place(word: object) -> None:
    document = {**example_result(), "trials": [{**to_json(trial_record(1)), "verdict": word}]}
    with pytest.raises(ValueError, match=r"^trials\[0\]\.verdict is .*none of met, not_met, promising, rejected, fail"):
        Result.from_json(document)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cost": 3}, "cost is 3, where an object is expected"),
        ({"metrics": {}}, "metrics is {}, where a list is expected"),
        ({"chosen_trial": "x"}, "chosen_trial is 'x', where a whole number is expected"),
        ({"chosen_trial": True}, "chosen_trial is True, where a whole number is expected"),
        ({"outcome": "perhaps"}, "outcome is 'perhaps', which is none of met, not_met, not_evaluated"),
        ({"cost": {"interval": [1]}}, "cost.interval has 1 entries, where 2 are expected"),
        ({"schema": "bitbudget.result/3"}, "not 'bitbudget.result/3'"),
    ],
)
def test_what_is_no_result_is_refused_with_its_place(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Result.from_json({**example_result(), **change})
    with pytest.raises(ValueError, match="not None"):
        Result.from_json([])


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert Result.from_json({**example_result(), "new": 1}) == Result.from_json(example_result())


def before() -> dict[str, object]:
    """The same result by the schema before: no trials, no chosen one."""
    names = {"chosen_trial", "trials"}
    return {**{k: v for k, v in example_result().items() if k not in names}, "schema": "bitbudget.result/1"}


def test_the_schema_before_is_read_and_its_chosen_trial_found() -> None:
    found = Result.from_json(before())
    assert (found.chosen_trial, found.trials, found.outcome) == (11, (), Outcome.MET)
    assert found.to_json()["schema"] != SCHEMA
    missing = {**before(), "front": []}
    assert Result.from_json(missing).chosen_trial is None


def test_the_front_and_the_chosen_trial_name_trials() -> None:
    result = Result.from_json(example_result())
    numbers = {trial.no for trial in result.trials}
    assert {point.trial for point in result.front} <= numbers
    assert isinstance(result.front[0], FrontPoint)
    assert result.chosen_trial in numbers


@pytest.mark.parametrize(
    ("chosen", "interval", "expected"),
    [
        (0.98, (-0.004, 0.002), Certainty.MET),
        (0.98, (-0.006, 0.002), Certainty.BOUND_MISSES),
        (0.96, (-0.03, -0.004), Certainty.BOUND_REACHES),
        (0.96, (-0.03, -0.006), Certainty.NOT_MET),
    ],
)
def test_the_interval_of_the_difference_is_held_against_the_room_a_goal_leaves(
    chosen: float, interval: tuple[float, float], expected: Certainty
) -> None:
    difference = Difference(chosen - 0.98, interval, "newcombe_paired")
    score = {"id": "top1@a", "float_value": 0.98, "required": 0.975}
    assert certainty_of(GoalRecord(**score, chosen=chosen, difference=difference)) is expected
    turned = Difference(0.98 - chosen, (-interval[1], -interval[0]), "t")
    error = {"id": "mae@a", "direction": "lower", "float_value": -0.98, "required": -0.975}
    assert certainty_of(GoalRecord(**error, chosen=-chosen, difference=turned)) is expected


def test_a_goal_without_a_float_value_is_held_against_its_own_interval() -> None:
    goal = GoalRecord(id="sqnr_db@a", required=30.0, chosen=31.0, interval=(29.0, 33.0))
    assert certainty_of(goal) is Certainty.BOUND_MISSES
    assert certainty_of(GoalRecord(id="sqnr_db@a", required=30.0, chosen=31.0)) is None
