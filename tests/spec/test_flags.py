import copy

import pytest

from search.errors import UsageError
from search.spec.flags import FLAG_KEYS, merge_flags
from search.spec.load import build_job, read_spec

SPEC = """
model: m.onnx
data: {calibration: c.npz, evaluation: e.npz}
target: {name: j6m, toolchain: 3.2.0}
goal: [{metric: top5, output: logits, max_drop: 0.02}]
search: {seed: 3, max_evaluations: 9}
"""


def job(flags, spec=SPEC):
    return build_job(merge_flags(read_spec(spec), flags))


def test_flags_win_over_the_file():
    merged = job({"evaluation": "other.npz", "seed": 7, "threads": 2, "confidence": 0.95, "overrides": "o.json"})
    assert (merged.data.calibration, merged.data.evaluation) == ("c.npz", "other.npz")
    assert (merged.search.seed, merged.search.max_evaluations, merged.search.confidence) == (7, 9, 0.95)
    assert (merged.run.threads, merged.overrides) == (2, "o.json")


def test_flags_alone_make_a_spec():
    flags = {"model": "m", "calibration": "c", "evaluation": "e", "target": "j6p", "max_drop": 0.01}
    merged = build_job(merge_flags({}, flags))
    assert merged.target.name == "j6p"
    assert [(goal.metric, goal.max_drop) for goal in merged.goal] == [("top1", 0.01)]


def test_a_flag_that_is_not_given_changes_nothing():
    assert job(dict.fromkeys((*FLAG_KEYS, "metric", "max_drop", "goal"))) == job({})


def test_the_arguments_are_left_alone():
    spec = read_spec(SPEC)
    before = copy.deepcopy(spec)
    merge_flags(spec, {"seed": 7, "target": "j6p", "max_drop": 0.5})
    assert spec == before


def test_zero_is_a_value():
    assert job({"seed": 0}).search.seed == 0
    assert job({"max_drop": 0.0}).goal[0].max_drop == 0.0


def test_another_target_drops_the_toolchain_of_the_files_target():
    assert job({"target": "ort-cpu"}).target.toolchain is None
    assert job({"target": "j6m"}).target.toolchain == "3.2.0"
    assert job({"target": "j6e", "toolchain": "3.1"}).target.toolchain == "3.1"


def test_a_limit_alone_replaces_the_limit_of_the_only_goal():
    goal = job({"min_value": 0.7}).goal[0]
    assert (goal.metric, goal.output, goal.max_drop, goal.min_value) == ("top5", "logits", None, 0.7)


def test_a_metric_replaces_the_goals_of_the_file():
    goals = job({"metric": "mae@xy", "max_increase": 0.1}).goal
    assert [goal.id for goal in goals] == ["mae@xy"]


def test_shorthands_replace_the_goals_of_the_file():
    goals = job({"goal": ["cosine,min-value=0.99", "top1@logits"]}).goal
    assert [(goal.id, goal.limit) for goal in goals] == [("cosine", "min_value"), ("top1@logits", "max_drop")]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"max_drop": 0.1, "min_value": 0.2}, "one limit for one goal, got --max-drop and --min-value"),
        ({"metric": "mae", "max_drop": 0.1}, "--metric mae: max_drop does not fit 'mae'"),
        ({"metric": "mae"}, "--metric mae: metric 'mae' needs exactly one limit"),
        ({"metric": "acc"}, "--metric acc: metric: metric 'acc' is unknown"),
        ({"max_increase": 0.1}, "--max-increase: max_increase does not fit 'top5'"),
        ({"goal": ["top1,max-increase=1"]}, "--goal 'top1,max-increase=1': max_increase does not fit"),
    ],
)
def test_refuses_goal_flags_that_make_no_sense(flags, message):
    with pytest.raises(UsageError, match=message):
        job(flags)


def test_a_limit_alone_is_not_clear_for_several_goals():
    spec = SPEC.replace("goal: [", "goal: [{metric: top1}, ")
    with pytest.raises(UsageError, match="several goals, so --max-drop alone is not clear"):
        job({"max_drop": 0.1}, spec)


def test_a_section_that_is_no_mapping_is_refused():
    with pytest.raises(UsageError, match="data: must be a mapping"):
        merge_flags({"data": 3}, {"calibration": "c"})


def test_an_unknown_flag_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="colour"):
        merge_flags({}, {"colour": "red"})
