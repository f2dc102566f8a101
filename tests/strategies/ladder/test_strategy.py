from __future__ import annotations

from dataclasses import replace

import pytest

from search.precision import Format, Precision
from search.records.verdict import Verdict
from search.sensitivity.table import Table
from search.strategies.shared.session import TrialSession
from search.targets.pins import Pin
from tests.strategies.nets import J6M, J6M32, J6P, ORT, chain, group, weights, written
from tests.strategies.simulated import CALIBRATION, Simulated
from tests.targets.networks import Sketch

P = Precision


def stages(session: TrialSession) -> list[str]:
    return list(dict.fromkeys(trial.stage for trial in session.trials))


def cheapest(session: TrialSession):
    return min((trial for trial in session.trials if trial.is_met), key=lambda trial: (trial.cost, trial.number))


def test_j6m_goes_from_all_int16_to_all_int8_and_stops_if_that_meets_the_goal():
    session = Simulated(chain(), J6M, {}).run()
    assert stages(session) == ["all-int16", "all-int8"]
    assert cheapest(session).cost == pytest.approx(1.0)
    assert session.table_list == []


def test_j6m_promotes_just_the_rows_that_matter():
    network = chain()
    noise = {written(network, "act2"): 0.01, weights(network, "conv4"): 8e-5, written(network, "act4"): 1e-6}
    simulated = Simulated(network, J6M, noise)
    session = simulated.run()
    assert stages(session)[:3] == ["all-int16", "all-int8", "int8/int16: common ratio"]
    best = cheapest(session).configuration.effective
    assert best[group(network, "conv3")] is P.A16W8
    assert best[group(network, "act2")] is P.INT16
    assert sum(p not in (P.A8W8, P.INT8) for p in best.precisions) == 2


def test_the_most_sensitive_side_keeps_16_bit_where_one_side_only_can():
    network = chain()
    noise = {weights(network, "conv3"): 8e-5, written(network, "act2"): 5e-5}
    best = cheapest(Simulated(network, J6M, noise).run()).configuration.effective
    assert best[group(network, "conv3")] is P.A8W16


def test_16_bit_on_the_side_that_needs_it_saves_fp16_where_all_int16_misses():
    network = chain()
    noise = {weights(network, "conv1"): 0.01, written(network, "act3"): 0.01}  # all-int16 leaves weights at 8 bit
    session = Simulated(network, J6M, noise).run()
    assert not session.trials[0].is_met
    best = cheapest(session).configuration.effective
    assert (best[group(network, "conv1")], best[group(network, "conv4")]) == (P.A8W16, P.A16W8)
    assert P.FP16 not in best.precisions


def test_dual_int16_is_used_from_toolchain_3_2_0():
    network = chain()
    noise = {weights(network, "conv3"): 0.01, written(network, "act2"): 0.01}
    best = cheapest(Simulated(network, J6M32, noise).run()).configuration.effective
    assert best[group(network, "conv3")] is P.A16W16
    older = Simulated(network, J6M, noise).run()
    assert cheapest(older).configuration.effective[group(network, "conv3")] is P.FP16


def test_all_int16_misses_so_as_few_groups_as_possible_run_in_fp16_and_stay_there():
    network = chain()
    loud = weights(network, "conv1")
    noise = {
        loud: 0.02,
        written(network, "act0"): 0.01,
        weights(network, "conv5"): 1e-6,
        written(network, "act3"): 0.01,
    }
    simulated = Simulated(network, J6M, noise)  # 16 bit on one side of conv1 is not enough
    session = simulated.run()
    assert stages(session)[:6] == [
        "all-int16",
        "all-int8",
        "int16 on the sensitive side",
        "int16/fp16",
        "int8/fp16",
        "int8/int16/fp16: common ratio",
    ]
    assert [table.base for table in session.table_list][-1] == "int8/fp16"
    for trial in session.trials:
        if "int8/" in trial.stage and "fp16" in trial.stage:
            halves = [g for g, p in enumerate(trial.configuration.effective.precisions) if p is P.FP16]
            assert halves == [group(network, "conv1")]
    best = cheapest(session).configuration.effective
    assert best[group(network, "conv4")] is P.A16W8
    assert best[group(network, "conv2")] is P.A8W8


def test_float_groups_that_turn_out_needless_leave_again():
    network = chain()
    key = written(network, "act2")
    noise = {key: 0.01, weights(network, "conv3"): 0.02}
    steps = {key: {Format.INT16: 0.02}, weights(network, "conv3"): {Format.FP16: 0.0}}
    session = Simulated(network, J6M, noise, steps=steps).run()
    best = cheapest(session).configuration.effective
    assert [g for g, p in enumerate(best.precisions) if p is P.FP16] == [group(network, "conv3")]


def test_a_goal_missed_everywhere_ends_with_the_bounds_and_everything_tried():
    network = chain()
    noise = {written(network, "act2"): 0.5}
    session = Simulated(network, J6M, noise, steps={written(network, "act2"): dict.fromkeys(Format, 1.0)}).run()
    assert not any(trial.is_met for trial in session.trials)
    assert stages(session)[:3] == ["all-int16", "all-int8", "int16/fp16"]
    assert session.table_list


def test_several_outputs_get_a_common_ratio_and_then_their_own():
    network = chain(outputs=2)
    a, b = written(network, "act1"), written(network, "act4")
    only = {"y0": {b: 0.0}, "y1": {a: 0.0}}
    noise = {a: 0.01, b: 0.01} | {weights(network, f"conv{i}"): 1e-7 * i for i in range(6)}
    session = Simulated(network, J6M, noise, only=only, goals={"y0": 0.01, "y1": 0.01}).run()
    assert [table.output for table in session.table_list] == ["y0", "y1"]
    best = cheapest(session).configuration.effective
    assert best[group(network, "conv2")] is P.A16W8
    assert best[group(network, "conv5")] is P.A16W8
    assert best[group(network, "conv3")] is P.A8W8


def test_outputs_whose_goal_holds_do_not_enter_the_union():
    network = chain(outputs=2)
    only = {"y1": {written(network, "act1"): 0.0}}
    session = Simulated(network, J6M, {written(network, "act1"): 0.01}, only=only, goals={"y0": 0.01, "y1": 0.01}).run()
    assert [table.output for table in session.table_list] == ["y0"]


def test_heavy_groups_go_back_from_the_bottom_if_the_goal_allows():
    network = chain(8)
    noise = {weights(network, f"conv{i}"): 1e-5 for i in range(8)} | {written(network, "act3"): 5e-5}
    only_pairs = Simulated(network, J6M, noise, jitter=0.3).run()
    backs = [trial for trial in only_pairs.trials if trial.stage.endswith("heavy groups back")]
    chosen = next(t for t in only_pairs.trials if t.stage.endswith("common ratio") and t.is_met)
    assert backs
    assert all(trial.cost <= chosen.cost for trial in backs)


def test_groups_that_save_next_to_nothing_are_not_tried():
    sketch = Sketch()
    value = sketch.input()
    for i in range(4):
        value = sketch.add("Conv", [value], name=f"conv{i}", macs=10)  # all cost is in moving bytes and elements
        value = sketch.add("Sigmoid", [value], name=f"act{i}", elements=10_000_000)
    sketch.add("Gemm", [value], name="head", output="y0", macs=10)
    network = sketch.done()
    session = Simulated(network, J6M, {weights(network, "conv1"): 8e-5, written(network, "act0"): 5e-5}).run()
    assert cheapest(session).configuration.effective[group(network, "conv1")] is P.A8W16
    assert not any("heavy" in trial.stage for trial in session.trials)


def test_j6p_goes_from_gemm_a16w16_with_fp16_to_the_gemm_ratio():
    network = chain()
    noise = {written(network, "act2"): 0.01}
    session = Simulated(network, J6P, noise).run()
    assert stages(session)[:3] == ["gemm a16w16 + fp16", "gemm a8w8 + fp16", "gemm int8/int16: common ratio"]
    assert {row.point.fmt for table in session.table_list for row in table.rows} == {Format.INT8}
    best = cheapest(session).configuration.effective
    assert best[group(network, "conv3")] is P.A16W8
    assert all(best[g] is P.FP16 for g, one in enumerate(network.groups) if not one.is_gemm)
    assert sum(p is P.A8W8 for p in best.precisions) == 6


def overflowing_net(behind: str):
    sketch = Sketch()
    one = sketch.add("Conv", [sketch.input()], name="conv0", macs=10_000)
    big = sketch.add("Add", [one, one], kinds="aa", name="big")
    two = sketch.add(behind, [big], name="behind")
    sketch.add("Gemm", [two], name="head", output="y0", macs=10_000)
    return sketch.done()


def test_linear_overflow_is_held_pre_scaled_in_every_later_trial():
    network = overflowing_net("Relu")
    big = written(network, "big")
    session = Simulated(network, J6P, {written(network, "behind"): 0.01}, absmax={big[1]: 1e6}).run()
    assert stages(session)[:2] == ["gemm a16w16 + fp16", "overflow treated"]
    k = session.trials[1].configuration.treatment.prescale[big[1]]
    assert 1e6 / 2**k <= 65504 / 2  # one bit of headroom
    assert len(session.trials) > 3
    assert all(t.configuration.treatment.prescale == {big[1]: k} for t in session.trials[1:])
    assert cheapest(session).cost < session.trials[1].cost


@pytest.mark.parametrize("behind", ["Tanh", "Softmax"])
def test_overflow_at_an_operator_that_is_not_linear_takes_the_groups_around_to_fp32(behind):
    network = overflowing_net(behind)
    big = written(network, "big")
    session = Simulated(network, J6P, {}, absmax={big[1]: 1e6}).run()
    assert session.trials[1].stage == "overflow treated"
    assert session.trials[1].is_met
    for trial in session.trials[1:]:
        assert trial.configuration.effective[group(network, "behind")] is P.FP32
        assert trial.configuration.effective[group(network, "big")] is P.FP32


def test_overflow_of_a_gemm_in_front_of_a_function_needs_both_remedies():
    sketch = Sketch()
    one = sketch.add("Conv", [sketch.input()], name="conv0")
    two = sketch.add("Tanh", [one], name="behind")
    sketch.add("Gemm", [two], name="head", output="y0")
    network = sketch.done()
    loud = written(network, "conv0")
    session = Simulated(network, J6P, {}, absmax={loud[1]: 1e6}).run()
    treated = session.trials[1]
    assert treated.is_met  # the gemm can write fp16 at most, so its tensor is pre-scaled on top
    assert treated.configuration.effective[group(network, "behind")] is P.FP32
    assert set(treated.configuration.treatment.prescale) == {loud[1]}


def test_a_frozen_group_in_fp16_is_not_pre_scaled_where_it_could_not_carry_it():
    network = overflowing_net("Tanh")
    pins = [Pin(match="behind", exactly="fp16", freeze=True)]
    session = Simulated(network, J6P, {}, absmax={written(network, "big")[1]: 1e6}, pins=pins).run()
    assert not any(trial.is_met for trial in session.trials)
    assert all(trial.configuration.treatment.prescale == {} for trial in session.trials)


def test_the_most_sensitive_fp16_groups_run_in_fp32_if_nothing_else_helps():
    network = chain()
    steps = {written(network, "act2"): {Format.FP16: 1.0, Format.INT16: 0.0}}
    sketch = Sketch()
    value = sketch.add("Conv", [sketch.input()], name="conv0")
    for i in range(5):
        value = sketch.add("Sigmoid", [value], name=f"act{i}")
    sketch.add("Gemm", [value], name="head", output="y0")
    network = sketch.done()
    loud = written(network, "act2")
    steps = {loud: {Format.FP16: 1.0}}
    session = Simulated(network, J6P, {loud: 0.1, written(network, "act4"): 1e-5}, steps=steps).run()
    met = [trial for trial in session.trials if trial.is_met]
    assert met
    effective = met[-1].configuration.effective
    assert {g for g, p in enumerate(effective.precisions) if p is P.FP32} == {
        group(network, "act2"),
        group(network, "act3"),
    }
    assert session.trials[-1].stage.startswith("gemm a8w8")


def test_one_trial_shows_that_fp16_is_not_the_cause():
    network = chain()
    steps = {weights(network, "conv1"): {Format.INT16: 1.0}}
    session = Simulated(
        network, J6P, {weights(network, "conv1"): 0.1, written(network, "act0"): 0.05}, steps=steps
    ).run()
    assert not any(trial.is_met for trial in session.trials)
    assert sum(trial.stage == "fp16/fp32" for trial in session.trials) <= 1


def test_ranges_of_sensitive_gemm_inputs_are_fixed_and_stay_so():
    network = chain()
    loud = written(network, "act2")
    clipped = replace(CALIBRATION, method_16="kl")
    simulated = Simulated(
        network, J6P, {loud: 0.02}, steps={loud: {Format.INT16: 1.0}}, range_factor=1e-6, calibration=clipped
    )
    session = simulated.run()
    assert "ranges fixed" in stages(session)
    later = [t for t in session.trials if t.number > 2]
    assert later
    assert all(loud[1] in t.configuration.treatment.ranges for t in session.trials[1:])
    assert any(t.is_met for t in session.trials)


def test_ort_cpu_takes_selected_groups_to_float():
    network = chain()
    session = Simulated(network, ORT, {written(network, "act2"): 0.01}).run()
    assert stages(session)[:3] == ["all float", "all-int8", "int8/float: common ratio"]
    best = cheapest(session).configuration.effective
    assert {network.groups[g].name for g, p in enumerate(best.precisions) if p is P.FP32} == {"act2", "conv3"}


def test_frozen_pins_are_never_moved():
    network = chain()
    pins = [
        Pin(match="conv3", exactly="a8w8", freeze=True),
        Pin(match="conv1", at_least="a16w8"),
        Pin(match="act0", freeze=True),
    ]
    noise = {written(network, "act2"): 5e-5, written(network, "act4"): 0.01}
    session = Simulated(network, J6M, noise, pins=pins).run()
    for trial in session.trials:
        effective = trial.configuration.effective
        assert effective[group(network, "conv3")] is P.A8W8
        assert effective[group(network, "act0")] is P.INT8
        assert effective[group(network, "conv1")].activation >= Format.INT16
    assert len(session.trials) > 2


def test_a_network_without_any_row_ends_after_the_bounds():
    sketch = Sketch()
    sketch.add("TopK", [sketch.input()], name="top", output="y0")
    network = sketch.done()
    simulated = Simulated(network, J6M, {("activation", 0): 1.0}, steps={("activation", 0): {Format.FP32: 1.0}})
    session = simulated.run()
    assert [trial.verdict for trial in session.trials] == [Verdict.NOT_MET]
    assert session.table_list == []


def test_an_output_without_values_to_rank_by_gets_no_table():
    network = chain()
    simulated = Simulated(network, J6M, {written(network, "act2"): 0.01})
    setting = replace(simulated.setting(), ranking_values={"y0": ()})
    session = TrialSession(setting)
    tables: tuple[Table, ...] = ()

    def plan():
        nonlocal tables
        from_low = yield from session.evaluate(setting.bounds[0], stage="low", full=True)
        tables = yield from session.tables(from_low, "low", formats=(Format.INT8,))

    simulated.drive(plan())
    assert tables == ()
    assert all(item.kind.name == "evaluate" for item in simulated.asked)


def test_a_collapsed_base_is_also_measured_sparing_each_point():
    network = chain()
    loud = written(network, "act2")
    quiet = Simulated(network, J6M, {loud: 0.01}).run()
    simulated = Simulated(network, J6M, {loud: 3.0, weights(network, "conv4"): 3.0})
    session = simulated.run()
    modes = {item.work.mode for item in simulated.asked if item.kind.name == "sensitivity"}
    assert modes == {"only", "all_but"}
    assert {row.point.index for row in session.table_list[0].rows[:2]} >= {loud[1]}
    assert quiet.trials[1].values["top1@y0"] > 0.5


def test_an_uncollapsed_base_is_measured_once_per_point():
    network = chain()
    simulated = Simulated(network, J6M, {written(network, "act2"): 0.01})
    simulated.run()
    assert {item.work.mode for item in simulated.asked if item.kind.name == "sensitivity"} == {"only"}
