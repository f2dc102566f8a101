"""The interval of an estimate holds the value of the full set as often as it says, over 200 searches of each kind."""

from __future__ import annotations

import numpy as np
import pytest

from search.metrics.part import Part
from search.metrics.registry import make_metric
from search.records.trial import Estimate
from search.strategies.shared.full_set import full_set_estimate, rate_by_margin
from search.strategies.shared.goals import GoalState

N = 1200
SEARCHES = 200


def margins_of(rng: np.random.Generator) -> np.ndarray:
    """Margins of a network that is right in 90 to 99 % of the samples, the smallest first."""
    rate = rng.uniform(0.9, 0.99)
    size = rng.gamma(rng.uniform(1.2, 4.0), 1.0, N)
    right = rng.random(N) < 1.0 - (1.0 - rate) * np.exp(-size) / np.exp(-size).mean()
    order = np.argsort(size)
    return np.where(right, size, -size)[order]


def quantized(rng: np.random.Generator, margins: np.ndarray) -> np.ndarray:
    """Which samples are right once noise of uneven loudness moved the margins."""
    sd = rng.uniform(0.02, 0.8)
    loud = np.exp(0.5 * rng.uniform(0.3, 1.1) * rng.standard_normal(N))
    return margins + sd * loud * rng.standard_normal(N) > 0


def covered(kind: str, share: float) -> float:
    """How often the interval held the value of the full set."""
    hits = 0
    for seed in range(SEARCHES):
        rng = np.random.default_rng(seed)
        found, true = one_search(kind, rng, m=int(N * share))
        assert found.low <= found.value <= found.high
        hits += found.low - 1e-9 <= true <= found.high + 1e-9
    return hits / SEARCHES


def one_search(kind: str, rng: np.random.Generator, *, m: int) -> tuple[Estimate, float]:
    margins = margins_of(rng)
    after = quantized(rng, margins)
    if kind == "by margin":
        return rate_by_margin(after[:m], margins > 0, margins), float(after.mean())
    order = rng.permutation(N)
    if kind == "top1":
        float_part, values = Part(N, values=(margins > 0)[order]), after[order]
    else:
        errors = rng.gamma(2.0, 1.0, N).astype(np.float32)
        float_part, values = Part(N, values=errors), (errors + rng.gamma(1.0, 0.3, N)).astype(np.float32)
    metric = make_metric(kind)
    goal = GoalState(f"{kind}@y", metric, "y", 0.0, None, float_part, "cosine")
    found = full_set_estimate(goal, [Part(m, values=values[:m])], n=N, by_margin=False)
    true = goal.value([Part(N, values=values)])
    assert found is not None
    assert true is not None
    return found, true


@pytest.mark.parametrize(
    ("kind", "share"),
    [("by margin", 0.1), ("by margin", 0.2), ("by margin", 0.5), ("top1", 0.1), ("top1", 0.5), ("mae", 0.2)],
)
def test_the_interval_of_an_estimate_holds_the_full_set_in_90_to_99_percent(kind: str, share: float) -> None:
    assert 0.90 <= covered(kind, share) <= 0.99


def test_where_nothing_can_be_said_there_is_no_estimate() -> None:
    rate = make_metric("top1")
    goal = GoalState("top1@y", rate, "y", 0.9, 1.0, Part(N, values=np.ones(N, np.bool_)), "cosine")
    few = [Part(4, values=np.ones(4, np.bool_))]
    assert full_set_estimate(goal, few, n=N, by_margin=False) is None
    assert full_set_estimate(goal, [], n=N, by_margin=False) is None
    many = [Part(100, values=np.ones(100, np.bool_))]
    assert full_set_estimate(goal, many, n=N, by_margin=True) is None  # no margins
    assert full_set_estimate(goal, [Part(N, values=np.ones(N, np.bool_))], n=N, by_margin=False) is None


def test_an_estimate_by_margin_knows_that_the_hardest_ran_first() -> None:
    margins = np.linspace(0.01, 5.0, N)
    seen = np.arange(120) % 4 > 0  # a quarter of the hardest is lost
    found = rate_by_margin(seen, np.ones(N, np.bool_), margins)
    assert found.value > 0.95 > seen.mean()
    assert found.high <= 1.0 - 30 / N
