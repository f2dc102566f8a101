from __future__ import annotations

import pytest

from search.diagnosis.goal import goal_findings
from search.diagnosis.ranges import clipping_findings, range_findings
from tests.strategies.nets import chain

NETWORK = chain(2)


def test_a_goal_above_float_says_so_and_blames_no_precision():
    (found,) = goal_findings({"top1@y": (0.7, 0.9, 0.8)}, above={"top1@y"}, short={"top1@y"})
    assert (found.code, found.severity) == ("goal-above-float", "error")
    assert "0.8" in found.message
    assert "0.9" in found.message


def test_a_missed_goal_gives_value_and_requirement():
    (found,) = goal_findings({"top1@y": (0.7, 0.75, 0.8)}, above=(), short={"top1@y"})
    assert found.code == "goal-missed"
    assert found.evidence == {"best": 0.7, "required": 0.75, "float": 0.8}


def test_a_goal_without_a_value_is_missed_in_words():
    (found,) = goal_findings({"cosine@y": (None, 0.99, None)}, above=(), short={"cosine@y"})
    assert "has no value" in found.message


def test_goals_that_hold_are_silent():
    assert not list(goal_findings({"top1@y": (0.8, 0.75, 0.8)}, above=(), short=()))


@pytest.mark.parametrize(
    ("ends", "codes"),
    [
        ((-1.0, 1.0), []),
        ((-11.0, 1.0), ["wide-range"]),
        ((0.0, 7e4), ["beyond-fp16"]),
        ((-6e-5, 1e-6), ["below-fp16"]),
        ((-6.2e-5, 0.0), []),
        ((0.0, 0.0), ["all-zero"]),
        (None, ["unseen-in-calibration"]),
    ],
)
def test_ranges_are_told_by_their_largest_absolute_value(ends, codes):
    extremes = [(-1.0, 1.0)] * len(NETWORK.tensors)
    extremes[2] = ends
    found = list(range_findings(NETWORK, extremes))
    assert [finding.code for finding in found] == codes
    assert all(NETWORK.tensors[2].op_name in finding.message for finding in found)


def test_a_tensor_of_nan_or_infinities_alone_was_seen():
    extremes = [(-1.0, 1.0)] * len(NETWORK.tensors)
    extremes[2] = None
    assert not list(range_findings(NETWORK, extremes, nonfinite=[2]))


@pytest.mark.parametrize(("high", "told"), [(1.04, 0), (1.3, 1)])
def test_an_input_that_goes_beyond_calibration_is_named(high, told):
    extremes = [(0.0, 1.0)] + [(-1.0, 1.0)] * (len(NETWORK.tensors) - 1)
    name = next(tensor.name for tensor in NETWORK.tensors if tensor.writer is None)
    found = list(clipping_findings(NETWORK, extremes, {name: (0.0, high)}))
    assert [finding.code for finding in found] == ["calibration-narrower-than-data"] * told
    assert all("1.3" in finding.message and name in finding.message for finding in found)
