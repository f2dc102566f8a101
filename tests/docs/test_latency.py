"""The benchmark of the cost model runs and prints the errors it is for."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import latency
from benchmarks.latency_models import MODELS, Net
from tests.builders import random_feeds, run


def test_every_network_of_the_benchmark_runs():
    for name, make in MODELS.items():
        proto = make(Net(0))
        outputs = run(proto, random_feeds(proto, np.random.default_rng(0), batch=1))
        assert np.isfinite(outputs["y"]).all(), name


@pytest.mark.slow
def test_the_latency_benchmark_writes_its_page(tmp_path, monkeypatch):
    page = tmp_path / "latency.md"
    options = ["--only", "residual_wide", "--assignments", "13", "--repeats", "4", "--write", str(page)]
    monkeypatch.setattr(sys, "argv", ["latency", *options])
    latency.main()
    text = page.read_text()
    assert "| goal, assignments not fitted | at most 15% | at least 0.8 |" in text
    assert "13 assignments of 1 models" in text
    assert "| residual_wide | 13 |" in text
    assert "Estimates per second" in text
