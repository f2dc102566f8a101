from __future__ import annotations

import numpy as np
import pytest

from search.assignment import Assignment
from search.precision import Precision
from search.targets.cost import CostModel
from search.targets.fitting.fit import assumed_share, fit_rates, predict
from search.targets.fitting.measured import Measured, Works
from search.targets.fitting.rates import known_seconds, source_of, with_rates
from search.targets.fitting.validation import mean_tau, relative_errors, summary, validate
from search.targets.target import load_target, target_names
from search.targets.work import unit_rate
from tests.targets.fitting.chips import J6M, TRUTH, changed, measured, network, times
from tests.targets.networks import random_network

P = Precision


@pytest.mark.parametrize("name", target_names())
def test_work_over_rates_is_the_cost(name):
    target = load_target(name, toolchain=None)
    for seed in range(6):
        model = CostModel(random_network(seed, 12), target)
        rng = np.random.default_rng(seed)
        row = np.array([rng.integers(len(legal)) for legal in model.choices], np.uint8)
        assignment = model.decode(row)
        one = measured(model.network, assignment, 1.0)
        assert predict(target, [one])[0] == pytest.approx(model.cost(assignment), rel=1e-4)  # whole picoseconds
        twice = measured(model.network, assignment, 1.0, samples=2)
        assert predict(target, [twice])[0] == pytest.approx(2 * model.cost(assignment), rel=1e-4)


def test_a_fit_finds_the_coefficients_that_made_the_times():
    truth = changed(J6M, TRUTH)
    found = fit_rates(J6M, times(truth, [network(0), network(1)], n=40, empty_us=80.0))
    for path in ("relative_rate.a8w8", "relative_rate.a16w8"):
        assert found[path].is_measured
        assert found[path].seconds == pytest.approx(known_seconds(truth, path), rel=0.1), path
    held_out = times(truth, [network(7)], n=20, empty_us=80.0)
    fitted = with_rates(J6M, found)
    real = np.array([one.microseconds for one in held_out])
    assert relative_errors(predict(fitted, held_out), real).mean() < 0.02


def test_coefficients_are_never_negative_even_if_the_times_ask_for_it():
    net = network(0)
    rng = np.random.default_rng(3)
    upside_down = [
        measured(net, one.assignment, 1e9 / one.microseconds * float(rng.uniform(0.8, 1.2)))
        for one in times(J6M, [net], n=30)
        if one.assignment is not None
    ]
    assert all(one.seconds > 0 for one in fit_rates(J6M, upside_down).values())


def test_what_was_not_measured_keeps_its_ratio_and_stays_assumed():
    net = network(0)
    low = Assignment(tuple(P.A8W8 if group.is_gemm else P.INT8 for group in net.groups))
    one = measured(net, low, 10 * CostModel(net, J6M).cost(low))
    found = fit_rates(J6M, [one])
    assert "relative_rate.a16w8" not in found
    fitted = with_rates(J6M, found)
    assert predict(fitted, [one])[0] == pytest.approx(one.microseconds, rel=0.05)
    assert 0 < assumed_share(fitted, [one]) <= 1
    assert source_of(fitted, "relative_rate.a16w8") == "assumed"
    assert fitted.cost.relative_rate[P.A16W8] == J6M.cost.relative_rate[P.A16W8]


def test_a_fitted_target_says_what_is_measured_and_gives_microseconds():
    data = times(changed(J6M, TRUTH), [network(0), network(1)], n=25, noise=0.02)
    fit = summary(validate(J6M, data, seed=0), seed=0, measured_on="a chip of equations")
    fitted = with_rates(J6M, fit_rates(J6M, data), fit)
    model, plain = CostModel(network(0), fitted), CostModel(network(0), J6M)
    assert (model.unit, plain.unit) == ("us", "index")
    assert plain.error_bar(1.0) is None
    assert model.in_unit(1.0) == model.all_low_cost
    low, high = model.error_bar(1.0)
    assert low < model.all_low_cost < high
    assert assumed_share(fitted, data) < assumed_share(J6M, data)
    assert source_of(fitted, "relative_rate.a8w8") == "measured"
    assert unit_rate(fitted.cost) == unit_rate(J6M.cost)


def test_the_error_is_of_measurements_the_fit_did_not_see():
    truth = changed(J6M, TRUTH)
    data = times(truth, [network(0), network(1), network(2)], n=16, noise=0.03)
    validation = validate(J6M, data, seed=1)
    fit = summary(validation, seed=1, measured_on="")
    assert (fit.measurements, fit.models) == (len(data), 3)
    assert 0.01 < fit.mape < 0.08
    assert fit.mape_interval[0] <= fit.mape <= fit.mape_interval[1]
    assert fit.kendall_tau > 0.8
    assert fit.kendall_tau_interval[0] <= fit.kendall_tau <= fit.kendall_tau_interval[1]
    assert fit.mape_other_models is not None
    again = validate(J6M, data, seed=1)
    assert validation.left_out.tolist() == again.left_out.tolist()
    # A measurement far off cannot pull its own prediction along.
    spoiled = [*data[:-1], measured(data[-1].network, data[-1].assignment, 100 * data[-1].microseconds, model="net2")]
    error = relative_errors(validate(J6M, spoiled, seed=1).left_out, np.array([one.microseconds for one in spoiled]))
    assert error[-1] > 0.9


def test_tau_counts_the_order_within_models_only():
    truth = changed(J6M, TRUTH)
    data = times(truth, [network(0), network(1)], n=10)
    validation = validate(J6M, data, seed=0)
    everything = np.arange(len(data))
    first = everything[validation.models == "net0"]
    second = everything[validation.models == "net1"]
    both = (mean_tau(validation, first) + mean_tau(validation, second)) / 2
    assert mean_tau(validation, everything) == pytest.approx(both)
    assert mean_tau(validation, first[:2]) == 0.0


def test_reports_without_a_network_are_fitted_from_their_own_sums():
    unit = unit_rate(J6M.cost)
    rng = np.random.default_rng(0)
    data = []
    for _ in range(20):
        share, mb = float(rng.uniform(0, 1)), int(rng.integers(5, 40)) * 10**6
        sums = {
            "relative_rate.a8w8": int(4e9 * (1 - share)),
            "relative_rate.a16w8": int(4e9 * share),
            "bytes_per_s": mb,
        }
        seconds = sums["relative_rate.a8w8"] / (unit * 0.2) + sums["relative_rate.a16w8"] / (unit * 0.08) + mb / 2e10
        data.append(Measured(model="4e9", microseconds=1e6 * seconds + 30, sums=sums))
    found = fit_rates(J6M, data)
    fitted = with_rates(J6M, found)
    assert 1 / (found["relative_rate.a8w8"].seconds * unit) == pytest.approx(0.2, rel=0.05)
    assert 1 / (found["relative_rate.a16w8"].seconds * unit) == pytest.approx(0.08, rel=0.05)
    assert Works(fitted).of(data[0])["runs_per_s"] == 1.0
    assert fitted.cost.runs_per_s is not None
