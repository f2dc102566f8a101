"""The examples run, and say what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.docs.pages import ROOT


def test_a_loader_a_preprocessing_function_and_a_metric_of_ones_own(tmp_path: Path) -> None:
    example = runpy.run_path(str(ROOT / "examples/loader/digits_loader.py"))
    result = example["main"](tmp_path / "out")
    (goal,) = result.metrics
    assert result.outcome == "met"
    assert goal.name == "python:own:recall"
    assert goal.float_value - 0.05 <= goal.chosen <= 1.0
    assert goal.interval_method == "bootstrap"
    assert result.cost.chosen < result.cost.all_high
