"""A part of an output is read, shown and taken as NumPy slices, samples first."""

from __future__ import annotations

import numpy as np
import pytest

from search.errors import UsageError
from search.spec.goal_text import parse_goal
from search.spec.goals import Goal
from search.spec.output_part import output_of, read_part
from search.spec.resolve import OutputInfo, resolve_goals

ROWS = np.arange(2 * 6 * 5 * 3).reshape(2, 6, 5, 3)
PARTS = {
    "y[:, 4:]": ROWS[:, 4:],
    "y[:,:4]": ROWS[:, :4],
    "y[ :, 1:3, ::2 ]": ROWS[:, 1:3, ::2],
    "y[:, -2:]": ROWS[:, -2:],
    "y[:, -1]": ROWS[:, -1:],
    "y[:, 2]": ROWS[:, 2:3],
    "y[:, :, :, 1:]": ROWS[..., 1:],
    "y[:]": ROWS,
    "y": ROWS,
    "Identity[0]": ROWS,
    "a[b]:0": ROWS,
}


@pytest.mark.parametrize("text", PARTS)
def test_a_part_is_what_numpy_takes(text):
    part = read_part(text)
    assert np.array_equal(part.take(ROWS), PARTS[text])
    again = read_part(str(part))
    assert (again.output, str(again)) == (part.output, str(part))


@pytest.mark.parametrize(("text", "told"), [("y[:, x]", "no slice"), ("y[:, ::0]", "no slice"), ("y[:2, 1]", "sample")])
def test_what_is_no_part_is_refused_with_an_example(text, told):
    with pytest.raises(ValueError, match=told):
        read_part(text)
    with pytest.raises(ValueError, match=told):
        Goal(metric="l1", output=text, max_value=1.0)


def test_the_shorthand_takes_commas_inside_brackets():
    assert parse_goal("cosine@y[:, 4:, 0],min-value=0.9") == {
        "metric": "cosine",
        "output": "y[:, 4:, 0]",
        "min_value": 0.9,
    }


OUTPUTS = [OutputInfo("y", (None, 8, 10), ("y[:, :4]", "y[:, 4:]")), OutputInfo("z", (None, 5))]


def test_a_goal_without_an_output_is_one_per_part():
    goals = resolve_goals([Goal(metric="cosine", min_value=0.9)], OUTPUTS, ())
    assert [goal.id for goal in goals] == ["cosine@y[:, :4]", "cosine@y[:, 4:]", "cosine@z"]


def test_a_named_output_is_judged_as_a_whole_and_a_named_part_as_that():
    named = [Goal(metric="cosine", min_value=0.9, output=text) for text in ("y", "y[:,1:]")]
    goals = resolve_goals(named, OUTPUTS, ())
    assert [goal.output for goal in goals] == ["y", "y[:, 1:]"]
    assert output_of(goals[1].output or "") == "y"


def test_a_part_of_no_output_names_those_there_are():
    with pytest.raises(UsageError, match=r"no output 'x'.*y \[\?, 8, 10\]"):
        resolve_goals([Goal(metric="l1", max_value=1.0, output="x[:, 1:]")], OUTPUTS, ())
