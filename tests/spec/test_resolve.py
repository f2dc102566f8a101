import pytest

from search.errors import UsageError
from search.spec.goals import Goal
from search.spec.job import Target
from search.spec.resolve import OutputInfo, resolve_goals, resolve_target

LOGITS = OutputInfo("logits", (None, 10))
XY = OutputInfo("xy", (None, 2))
MAP = OutputInfo("map", (1, 64, 7, 7))


def test_labels_alone_mean_top1_within_one_point():
    (goal,) = resolve_goals((), [LOGITS], ["labels"])
    assert (goal.id, goal.labels, goal.max_drop, goal.ranking) == ("top1@logits", "labels", 0.01, "cosine")


def test_the_default_takes_the_only_output_with_classes():
    (goal,) = resolve_goals((), [MAP, LOGITS, OutputInfo("score", (None, 1))], ["labels", "labels_xy"])
    assert goal.output == "logits"


@pytest.mark.parametrize(
    ("outputs", "keys", "message"),
    [
        ([LOGITS, XY], ["labels"], r"2 outputs have it.*--metric or --goal.*logits \[\?, 10\], xy \[\?, 2\]"),
        ([MAP], ["labels"], r"no output has it.*map \[1, 64, 7, 7\]"),
        ([LOGITS], [], r"the evaluation set has none.*--metric or --goal.*logits \[\?, 10\]"),
        ([LOGITS], ["y"], r"label array 'labels'; the evaluation set has 'y' beside the inputs"),
    ],
)
def test_no_goal_is_refused_where_the_default_is_not_clear(outputs, keys, message):
    with pytest.raises(UsageError, match=message):
        resolve_goals((), outputs, keys)


def test_a_fidelity_metric_without_output_is_one_goal_per_output():
    goals = resolve_goals([Goal(metric="cosine", min_value=0.99)], [LOGITS, XY], [])
    assert [(goal.id, goal.labels, goal.min_value) for goal in goals] == [
        ("cosine@logits", None, 0.99),
        ("cosine@xy", None, 0.99),
    ]


def test_a_labelled_metric_without_output_takes_the_only_output():
    (goal,) = resolve_goals([Goal(metric="mae", labels="t", max_increase=0.1)], [MAP], ["t"])
    assert goal.id == "mae@map"


def test_a_labelled_metric_without_output_is_refused_for_several_outputs():
    with pytest.raises(UsageError, match=r"has 2 outputs; say which, as in mae@logits. Outputs: logits"):
        resolve_goals([Goal(metric="mae", max_increase=0.1)], [LOGITS, XY], ["labels"])


def test_top1_without_output_takes_the_only_output_with_classes():
    (goal,) = resolve_goals([Goal(metric="top1")], [MAP, LOGITS], ["labels"])
    assert goal.id == "top1@logits"


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (
            Goal(metric="top1", output="logit"),
            r"no output 'logit' \(did you mean 'logits'\?\). Outputs: logits \[\?, 10\]",
        ),
        (Goal(metric="top1", labels="label"), r"no label array 'label' \(did you mean 'labels'\?\)"),
    ],
)
def test_names_that_do_not_exist_are_refused(goal, message):
    with pytest.raises(UsageError, match=message):
        resolve_goals([goal], [LOGITS], ["labels"])


def test_the_same_metric_at_the_same_output_is_refused():
    goals = [Goal(metric="top1"), Goal(metric="top1", output="logits", min_value=0.5)]
    with pytest.raises(UsageError, match="'top1@logits' is given twice"):
        resolve_goals(goals, [LOGITS], ["labels"])


@pytest.mark.parametrize(
    ("goal", "ranking"),
    [
        (Goal(metric="top5", max_drop=0.1), "cosine"),
        (Goal(metric="miou", max_drop=0.1), "cosine"),
        (Goal(metric="f1", max_drop=0.1), "cosine"),
        (Goal(metric="mae", max_increase=0.1), "l1"),
        (Goal(metric="rmse", max_increase=0.1), "l1"),
        (Goal(metric="cosine", min_value=0.9), "cosine"),
        (Goal(metric="sqnr_db", min_value=30.0), "cosine"),
        (Goal(metric="l1", max_value=0.1), "l1"),
        (Goal(metric="atol", max_value=0.1), "atol"),
        (Goal(metric="onnx:m.onnx", max_value=0.1), "cosine"),
        (Goal(metric="mae", max_increase=0.1, ranking="atol"), "atol"),
    ],
)
def test_the_ranking_follows_the_task_metric_unless_given(goal, ranking):
    assert resolve_goals([goal], [LOGITS], ["labels"])[0].ranking == ranking


def test_a_custom_metric_takes_labels_where_there_are_some():
    goal = Goal(metric="onnx:m.onnx", max_value=0.1)
    assert resolve_goals([goal], [LOGITS], ["labels"])[0].labels == "labels"
    assert resolve_goals([goal], [LOGITS], [])[0].labels is None


@pytest.mark.parametrize(
    ("name", "given", "expected"), [("j6m", None, "3.9.1"), ("j6p", "3.2", "3.2"), ("ort-cpu", None, None)]
)
def test_only_j6_chips_have_a_default_toolchain(name, given, expected):
    assert resolve_target(Target(name=name, toolchain=given)).toolchain == expected
