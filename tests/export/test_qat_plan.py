"""``qat_plan.md``: figures of the study, the judgement by the vendor's bands, names that stay text."""

from __future__ import annotations

import json

import pytest

from search.export.qat_plan import SHOWN, Missed, qat_plan
from search.export.sensitivity_table import SensitivityLine
from search.records.finding import Finding
from search.records.goal import GoalRecord
from search.records.result import NodeRecord, Result
from search.records.verdict import Outcome
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import write

HORIZON = ("horizon/qconfig_setter.py", "horizon/qconfig_setter_legacy.py", "qconfig.csv")


def metric(**changes):
    usual = {"id": "top1@logits", "float_value": 0.9, "required": 0.89, "chosen": 0.87, "shortfall": 0.02}
    return GoalRecord(**usual | changes)


def node(precision="a16w8", role="compute", why=""):
    return NodeRecord(precision=precision, requested=precision, group="g0", role=role, why=why)


def line(rank, base="all-int16", **changes):
    values = {"output": "logits", "metric": "cosine", "base": base, "op_name": f"conv{rank}", "dtype": "int16"}
    values |= {"sensitive_type": "activation", "op_type": "Conv", "value": 1 / rank, "flops": 1, "flops_share": 0.1}
    return SensitivityLine(**values | {"group": "g0", "rank": rank} | changes)


def plan(*, ratio=0.96, sensitivity=(), growth="", files=HORIZON, findings=(), assignment=None, **changes):
    result = Result(
        outcome=Outcome.NOT_MET,
        target="j6m",
        metrics=(metric(**changes),),
        findings=tuple(findings),
        assignment={"conv1": node(), "conv2": node("a8w8")} if assignment is None else assignment,
    )
    missed = Missed(result=result, ratio=ratio, sensitivity=sensitivity, growth=growth, files=files)
    return qat_plan(missed).decode()


def test_it_states_every_goal_with_its_shortfall():
    assert "| `top1@logits` | 0.9000 | 0.8900 | 0.8700 | 0.0200 |" in plan()
    assert "| `top1@logits` | 0.9000 | 0.8900 | 0.8950 | met |" in plan(chosen=0.895, shortfall=None)


@pytest.mark.parametrize(
    ("ratio", "told", "scales"),
    [
        (0.90, "first look for a mistake", "Learned"),
        (0.93, "training is the next step, with learned scales", "Learned"),
        (0.95, "From 95 % training with fixed activation scales", "Fixed"),
        (None, "no float value", "Learned"),
    ],
)
def test_the_vendors_bands_decide_what_is_next(ratio, told, scales):
    text = plan(ratio=ratio)
    assert told in text
    assert f"{scales} is the better bet here." in text


def test_a_float_model_that_misses_is_trained_itself():
    assert "Train it first." in plan(findings=[Finding(code="goal-above-float", severity="error", message="")])


def test_raised_operators_are_listed_with_their_reason_and_the_low_ones_counted():
    text = plan(assignment={"conv1": node(why="pinned"), "conv2": node("a8w8"), "relu": node(role="fused")})
    assert "1 operator at the lowest precision, 1 higher." in text
    assert "- `conv1`: a16w8 (pinned)\n" in text
    assert "relu" not in text
    assert "All 2 operators run at the lowest precision" in plan(assignment={n: node("int8") for n in ("a", "b")})
    many = plan(assignment={f"conv{n}": node() for n in range(100)})
    assert many.count("`conv") == 60
    assert "and 40 more" in many


def test_what_hurts_are_the_worst_rows_of_the_last_base():
    rows = [line(1, base="all-int8", op_name="early"), *(line(n) for n in range(1, 40))]
    text = plan(sensitivity=rows, growth="The error starts to grow at conv7.")
    assert "The error starts to grow at conv7." in text
    assert "early" not in text
    assert [f"`conv{n}`" in text.split("## 3")[0].split("## 2")[1] for n in range(1, 40)].count(True) == SHOWN
    assert "No sensitivity was measured." in plan()


def test_only_delivered_files_are_named():
    assert "`horizon/qconfig_setter.py`: " in plan()
    other = plan(files=("ort_overrides.json",))
    assert "horizon" not in other
    assert "`ort_overrides.json`" in other


def test_a_hostile_name_stays_in_its_cell():
    name = "a`|b\n# head <img src=x onerror=1> [x](javascript:1)"
    text = plan(id=name, growth=f"at {name}", assignment={name: node(why=name)}, sensitivity=[line(1, op_name=name)])
    assert "\n# head" not in text
    rows = [one for one in text.splitlines() if one.startswith("| `")]
    assert {one.count("|") for one in rows} == {6, 7}
    outside = [part for one in text.splitlines() for index, part in enumerate(one.split("`")) if index % 2 == 0]
    assert not any("<img" in part.replace("\\<", "") for part in outside)


def test_a_study_that_misses_delivers_it_and_one_that_meets_does_not(tmp_path):
    files = write(tmp_path, n=40)
    missing = MemoryRun(local_problem(files, goal=[{"metric": "top1", "min_value": 1.0, "max_drop": None}]))
    delivered = missing.files(missing.run())
    result = json.loads(delivered["result.json"])
    assert result["outcome"] == "not_met"
    assert result["artifacts"]["qat_plan"] == "qat_plan.md"
    assert result["metrics"][0]["id"] in delivered["qat_plan.md"].decode()
    meeting = MemoryRun(local_problem(files, goal=[{"metric": "top1", "max_drop": 0.5}]))
    assert "qat_plan.md" not in meeting.files(meeting.run())
