import math
from fractions import Fraction

import pytest
from hypothesis import strategies as st

from search.errors import UsageError
from search.spec.goal_text import goal_from, parse_goal
from search.spec.metric_names import METRICS


def make(**values):
    return goal_from(values, where="goal")


def parse(text):
    return goal_from(parse_goal(text), where=f"--goal {text!r}")


def test_reads_the_shorthand_of_the_command_line():
    goal = parse("top1@logits,labels=labels,max-drop=0.01")
    assert (goal.metric, goal.output, goal.labels, goal.limit, goal.limit_value) == (
        "top1",
        "logits",
        "labels",
        "max_drop",
        0.01,
    )
    assert goal.id == "top1@logits"


def test_reads_every_key_of_the_shorthand():
    goal = parse(" mae@a/b:0@x , labels=xy, max_increase=2e-3, ranking=atol, percentile=99.5")
    assert (goal.output, goal.labels, goal.ranking, goal.percentile) == ("a/b:0@x", "xy", "atol", 99.5)


def test_top1_without_limit_may_lose_one_point():
    assert (make(metric="top1").limit, make(metric="top1").limit_value) == ("max_drop", 0.01)


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "top1"])
def test_every_other_metric_needs_a_limit(metric):
    with pytest.raises(UsageError, match=r"needs exactly one limit of max_drop, .* got none"):
        make(metric=metric)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": "top1", "max_increase": 0.1}, "max_increase does not fit 'top1' .*higher is better.*use max_drop"),
        ({"metric": "top1", "max_value": 0.1}, "max_value does not fit 'top1'"),
        ({"metric": "mae", "max_drop": 0.1}, "max_drop does not fit 'mae' .*lower is better.*use max_increase"),
        ({"metric": "rmse", "min_value": 0.1}, "min_value does not fit 'rmse'"),
        ({"metric": "cosine", "max_drop": 0.1}, "max_drop does not fit 'cosine' .*float outputs.*use min_value"),
        ({"metric": "sqnr_db", "min_ratio": 0.9}, "use min_value"),
        ({"metric": "cosine", "max_value": 0.9}, "use min_value"),
        ({"metric": "l1", "max_increase": 0.1}, "use max_value"),
        ({"metric": "atol", "min_value": 0.1}, "use max_value"),
        ({"metric": "top1", "max_drop": 0.1, "min_value": 0.2}, "got max_drop and min_value"),
        ({"metric": "top1", "max_drop": 1.5}, "0.01 is one point; got 1.5"),
        ({"metric": "top1", "max_drop": -0.1}, "must be at least 0, got -0.1"),
        ({"metric": "top1", "max_drop": math.nan}, "max_drop: must be a finite number"),
        ({"metric": "top1", "min_ratio": 0.0}, "must be greater than 0"),
        ({"metric": "tpo1"}, r"'tpo1' is unknown \(did you mean 'top1'\?\); known: top1, top5, miou"),
        ({"metric": "python:os.path"}, "must read python:package.module:function"),
        ({"metric": "onnx:"}, "path of the metric's model"),
        ({"metric": "cosine", "min_value": 0.9, "labels": "y"}, "takes no labels"),
        ({"metric": "mae", "max_value": 1.0, "percentile": 99.0}, "percentile belongs to atol"),
        ({"metric": "atol", "max_value": 1.0, "percentile": 0.0}, "percentile: must be greater than 0"),
        ({"metric": "top1", "ranking": "mse"}, "ranking: must be one of 'cosine', 'l1', 'atol', got 'mse'"),
        ({"metric": "onnx:m.onnx"}, "exactly one limit"),
    ],
)
def test_refuses_a_goal_that_makes_no_sense(values, message):
    with pytest.raises(UsageError, match=message):
        make(**values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with METRIC"),
        ("@logits,max-drop=1", "must begin with METRIC"),
        ("top1@", "must begin with METRIC"),
        ("top1,max-drop", "'max-drop' must read key=value"),
        ("top1,maxdrop=1", r"unknown key 'maxdrop' \(did you mean 'max-drop'\?\)"),
        ("top1,max-drop=x", "max-drop must be a number, got 'x'"),
        ("top1,max-drop=0.1,max_drop=0.2", "max-drop is given twice"),
        ("top1,max-drop=nan", "must be a finite number"),
    ],
)
def test_refuses_a_shorthand_that_cannot_be_read(text, message):
    with pytest.raises(UsageError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ({"metric": "top1"}, "higher"),
        ({"metric": "atol", "max_value": 1.0}, "lower"),
        ({"metric": "onnx:m.onnx", "max_increase": 1.0}, "lower"),
        ({"metric": "python:a.b:f", "min_ratio": 0.9}, "higher"),
    ],
)
def test_knows_which_way_is_better(values, direction):
    assert make(**values).direction == direction


SHARES = st.integers(0, 10_000).map(lambda k: Fraction(k, 10_000))
