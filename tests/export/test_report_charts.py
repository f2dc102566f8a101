"""What the charts of the report say: windows, summaries, twins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.export.report.charts import cost_plot, focus, ladder
from search.export.report.metrics import tightest_first
from search.export.report.sensitivity import N_BARS, N_FILTERED, filtered_data, sensitivity_panels
from search.export.report.trials import marked
from search.records.goal import GoalRecord
from search.records.result import Result
from tests.export.report_example import METRIC, example_result, example_sensitivity, example_trials


def _read(result=None, trials=None):
    document = result or example_result()
    return Result.from_json(document if trials is None else {**document, "trials": trials})


def _marked(result, limit=1000):
    front = {point.trial for point in result.front}
    return marked(result.trials, chosen=result.chosen_trial, front=front, limit=limit)


def _ladder(result=None, trials=None):
    found = _read(result, trials)
    return ladder(found.metrics[0], _marked(found), key="0", unit="index")


def _cost(result=None):
    found = _read(result)
    return cost_plot(found.metrics[0], _marked(found), found.cost, key="0")


def test_the_ladder_counts_its_verdicts_and_names_the_chosen_trial():
    assert _ladder().summary == (
        "12 trials: 6 met, 3 not met, 2 rejected early, 1 cannot run. Trial 11 was chosen, 0.9101 at cost 1.070."
        " Hollow marks with a bar are estimates of the full set (2)."
        " 1 trial lies outside the shown range, at its edge with the value beside it."
    )


def test_a_collapsed_trial_stands_at_the_edge_and_keeps_its_value():
    chart = _ladder()
    low, high = chart.data["window"]
    assert 0.88 < low < 0.9 < 0.9153 < high < 0.94
    collapsed = next(point for point in chart.data["points"] if point["bound"] == "all-low")
    assert (collapsed["outside"], collapsed["value"], collapsed["y"]) == (True, "0.7135", low)


def test_a_trial_without_a_value_stays_on_the_ladder():
    point = next(point for point in _ladder().data["points"] if point["verdict"] == "fail")
    assert point["y"] is None
    assert "33 bits" in next(row for row in _ladder().table.rows if row[0] == "9")[-1]


def test_the_ladder_names_its_stages_in_order():
    stages = [(stage["name"], stage["first"], stage["last"]) for stage in _ladder().data["stages"]]
    assert stages[:3] == [("all high", 1, 1), ("all low", 2, 2), ("common ratio", 3, 7)]


def test_the_table_twin_has_every_trial_with_partial_samples_marked():
    rows = _ladder().table.rows
    assert [row[0] for row in rows] == [str(n) for n in range(1, 13)]
    assert rows[4][4] == "600 of 2,000"
    assert rows[10][7] == "met · chosen"


def test_a_trial_that_was_stopped_is_drawn_by_its_estimate_and_tells_what_was_seen():
    point = _ladder().data["points"][4]
    assert point["y"] == pytest.approx(0.8965 + 0.002)
    assert (point["low"], point["high"]) == pytest.approx((max(0.8925, _ladder().data["window"][0]), 0.9035))
    assert point["hover"][1:3] == [
        "0.8965 on 600 of 2,000 samples",
        "estimate of all: 0.8985, 95 % within 0.8925 to 0.9035",
    ]
    row = _ladder().table.rows[4]
    assert (row[5], row[6]) == ("0.8965", "≈ 0.8985 (0.8925 to 0.9035)")
    assert all(one["low"] is None for one in _ladder().data["points"] if one["verdict"] != "rejected")


def test_a_stopped_trial_without_an_estimate_has_no_place_on_the_axis():
    trials = [{**trial, "estimates": {}} for trial in example_trials()]
    assert _ladder(trials=trials).data["points"][4]["y"] is None


def test_without_any_value_there_is_no_chart():
    trials = [{**trial, "seen": {}, "estimates": {}} for trial in example_trials()]
    assert _ladder(trials=trials) is None


def test_the_cost_plot_has_both_bounds_the_front_and_the_chosen_point():
    data = _cost().data
    assert [(bound["label"], bound["cost"]) for bound in data["bounds"]] == [("all-low", 1.0), ("all-high", 1.94)]
    assert data["front"] == [2, 11, 3, 1]
    assert (data["chosen"]["x"], data["chosen"]["y"]) == (1.07, 0.9101)
    assert (data["chosen"]["low"], data["chosen"]["high"]) == (0.8968, 0.9219)


def test_the_cost_plot_survives_a_search_without_a_chosen_assignment():
    result = example_result()
    result["cost"]["chosen"] = None
    result["metrics"][0].update(chosen=None, interval=None)
    assert _cost(result).data["chosen"] is None


@given(
    required=st.floats(-1, 1),
    others=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2),
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
)
def test_the_window_is_never_empty_and_always_shows_goal_float_and_chosen(required, others, values):
    goal = GoalRecord(id="m@o", required=required, float_value=others[0], chosen=others[1])
    low, high = focus(goal, values)
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high
    assert all(low <= value <= high for value in (required, *others))


def test_many_trials_are_cut_to_those_that_carry_the_argument():
    base = example_trials()
    trials = base + [{**base[6], "no": number} for number in range(13, 5000)]
    shown = _marked(_read(trials=trials), limit=20)
    assert len(shown) == 20
    assert {1, 2, 3, 11} <= {trial.no for trial in shown}
    assert [trial.no for trial in shown] == sorted(trial.no for trial in shown)


def test_sensitivity_shows_forty_bars_and_the_sum_of_the_rest():
    rows = example_sensitivity(96)[:96]
    panel = sensitivity_panels(rows)[0]
    data = panel.bars.data
    assert len(data["rows"]) == N_BARS
    total = sum(row["value"] for row in rows)
    assert math.isclose(sum(bar["value"] for bar in data["rows"]) + data["rest"]["value"], total)
    assert data["rest"]["label"] == "56 others, summed"
    assert len(panel.bars.table.rows) == N_BARS + 1


def test_there_is_one_panel_per_output_metric_and_base():
    rows = example_sensitivity(3)
    panels = sensitivity_panels(rows + [{**row, "output": "boxes"} for row in rows])
    assert [panel.label for panel in panels] == [
        "logits · COSINE · base all int16",
        "logits · COSINE · base all int8",
        "boxes · COSINE · base all int16",
        "boxes · COSINE · base all int8",
    ]


def test_the_curve_counts_like_a_slow_loop():
    rows = example_sensitivity(96)[:96]
    values = sorted((row["value"] for row in rows), reverse=True)
    rows = [{**row, "value": value} for row, value in zip(rows, values, strict=True)]
    n, running = 0, 0.0
    while running < 0.9 * sum(values):
        running += values[n]
        n += 1
    curve = sensitivity_panels(rows)[0].curve
    assert curve.summary == f"{n} of 96 points carry 90 % of the summed error."
    assert curve.data["y"][-1] == 100.0


def test_a_table_of_zeros_and_a_point_without_a_value_are_shown():
    rows = [{**row, "value": 0.0, "rank": None} for row in example_sensitivity(3)[:3]]
    assert sensitivity_panels(rows)[0].curve.summary == "No point has an error at this output."
    rows[2]["value"] = None
    assert sensitivity_panels(rows)[0].bars.data["rows"][0]["value"] is None


def test_every_metric_of_a_trial_has_its_own_chart_of_the_same_trial():
    result = example_result()
    result["metrics"].append({**result["metrics"][0], "id": "mae@xy", "direction": "lower"})
    trials = [{**trial, "seen": {METRIC: 0.9, "mae@xy": 0.1}} for trial in example_trials()]
    found = _read(result, trials)
    charts = [ladder(goal, _marked(found), key=str(i), unit="index") for i, goal in enumerate(found.metrics)]
    assert [chart.data["better"] for chart in charts] == ["higher", "lower"]


def test_the_page_opens_with_the_goal_that_decides():
    def reached(name, chosen, required, **more):
        return GoalRecord(id=name, chosen=chosen, qdq=chosen, required=required, **more)

    metrics = [
        reached("far", 1.0, 0.99, interval=[0.9999, 1.0]),
        reached("near", 30.01, 30.0, interval=[29.6, 30.4]),
        reached("unknown", None, 0.9, interval=None),
        reached("error", 0.5, 0.6, direction="lower", interval=None),
        reached("missed", 0.98, 0.99, interval=[0.97, 0.99]),
    ]
    assert [one.id for one in tightest_first(metrics)] == ["missed", "near", "error", "far", "unknown"]


def test_what_the_script_filters_holds_every_row_once_in_the_order_of_the_bars():
    rows = example_sensitivity(96)
    data = filtered_data(rows)
    panels = sensitivity_panels(rows)
    assert list(data["tables"]) == [panel.bars.id for panel in panels]
    for panel in panels:
        table = data["tables"][panel.bars.id]
        assert len(table) == 96
        shown = [(data["points"][point][0], text) for point, _, text in table[:N_BARS]]
        assert shown == [(row["hover"][0], row["text"]) for row in panel.bars.data["rows"]]
        points = [tuple(data["points"][point]) for point, _, _ in table]
        expected = {(row["op_name"], row["sensitive_type"], row["group"]) for row in rows}
        assert {(point[0], point[1], point[5]) for point in points} <= expected


def test_tables_beyond_what_can_be_filtered_keep_their_bars():
    rows = [{**row, "output": f"output{i}"} for i in range(6) for row in example_sensitivity(4000)]
    data = filtered_data(rows)
    assert 0 < sum(map(len, data["tables"].values())) <= N_FILTERED
    assert len(data["tables"]) < len(sensitivity_panels(rows))
