from search.data.extremes import Extremes, Outlier
from search.diagnosis.meaning import GoalFacts, batch_meaning, data_meaning, goal_meaning, output_meaning


def facts(required=0.8, value=0.9, metric="top1", classes=10):
    return GoalFacts(
        id=f"{metric}@y",
        metric=metric,
        is_share=True,
        required=required,
        float_value=value,
        is_rate=True,
        classes=classes,
    )


def codes(*goals, n=1000):
    return [finding.code for finding in goal_meaning(goals, n_samples=n)]


def test_a_goal_that_means_something_is_no_finding():
    assert codes(facts()) == []
    assert codes(facts(required=0.899), n=1000) == []


def test_a_goal_at_or_below_chance_cannot_fail():
    assert codes(facts(required=-0.1)) == ["goal-cannot-fail"]
    assert codes(facts(required=0.1)) == ["goal-cannot-fail"]
    assert codes(facts(required=0.11)) == []
    assert codes(facts(metric="top5", required=0.5)) == ["goal-cannot-fail"]
    assert codes(facts(metric="miou", required=0.05)) == []


def test_a_float_model_no_better_than_guessing_is_told():
    assert codes(facts(value=0.12, required=0.11), n=1000) == ["float-at-chance"]
    assert codes(facts(value=0.14, required=0.12), n=1000) == []
    assert codes(facts(value=0.0, required=-0.01), n=1000) == ["goal-cannot-fail", "float-at-chance"]


def test_a_goal_that_one_sample_decides_is_told():
    assert codes(facts(required=0.899), n=999) == ["too-few-samples"]
    assert codes(facts(required=0.9), n=10) == []  # no drop at all is a statement of its own


def said(n=100, same_data=False, is_random=False, **found):
    return [one.code for one in data_meaning(n, Extremes(**found), is_random=is_random, same_data=same_data)]


def test_calibration_data_that_says_little_is_told():
    assert said() == []
    assert said(n=16) == []
    assert said(n=15) == ["few-calibration-samples"]
    assert said(same_data=True) == ["calibration-is-evaluation"]
    assert said(zero_inputs=("x",)) == ["calibration-all-zero"]
    assert said(is_random=True, n=1, zero_inputs=("x",)) == []
    assert [one.code for one in batch_meaning(0.5)] == ["batch-dependent"]
    assert list(batch_meaning(0.0)) == []


def test_an_outlier_names_sample_tensor_and_ratio():
    outlier = Outlier(input="x", sample=5, value=1e6, others=2.0)
    (finding,) = data_meaning(100, Extremes(outliers=(outlier,)), is_random=False, same_data=False)
    assert finding.message.startswith("Calibration sample 5 holds 1e+06 in 'x', 5e+05 times the largest of all other")


def test_a_constant_output_is_told():
    assert [one.evidence for one in output_meaning(["y"])] == [{"output": "y"}]
