from __future__ import annotations

import numpy as np
import pytest

from search.targets.cost import CostModel
from search.targets.fitting.fit import fit_rates, predict
from search.targets.fitting.rates import with_rates
from search.targets.fitting.user_target import target_toml
from search.targets.fitting.validation import relative_errors, summary, validate
from search.targets.target import load_target
from tests.targets.fitting.chips import J6M, TRUTH, changed, network, times


def test_the_file_loads_as_the_target_that_was_fitted(tmp_path):
    data = times(changed(J6M, TRUTH), [network(0), network(1)], n=20, noise=0.02)
    fit = summary(validate(J6M, data, seed=0), seed=0, measured_on='board "A", \\ \n 3.0.17')
    found = fit_rates(J6M, data)
    path = tmp_path / "board.toml"
    path.write_text(target_toml(J6M, "j6m", "my-board", found, fit))
    loaded, fitted = load_target(str(path), toolchain=None), with_rates(J6M, found, fit)
    assert (loaded.name, loaded.toolchain, loaded.march) == ("my-board", J6M.toolchain, "nash-m")
    assert loaded.cost == fitted.cost
    assert loaded.cost.fit == fit
    assert loaded.rules == J6M.rules
    assert predict(loaded, data) == pytest.approx(predict(fitted, data))
    assert CostModel(network(0), loaded).unit == "us"


def test_a_target_fitted_again_extends_the_file_it_came_from(tmp_path):
    data = times(changed(J6M, TRUTH), [network(0)], n=20)
    fit = summary(validate(J6M, data, seed=0), seed=0, measured_on="")
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(target_toml(J6M, "j6m", "first", fit_rates(J6M, data), fit))
    once = load_target(str(first), toolchain=None)
    second.write_text(target_toml(once, "first.toml", "second", fit_rates(once, data), fit))
    twice = load_target(str(second), toolchain=None)
    assert twice.name == "second"
    real = np.array([one.microseconds for one in data])
    errors = [relative_errors(predict(target, data), real).mean() for target in (J6M, once, twice)]
    assert errors[0] > errors[1] >= errors[2]
