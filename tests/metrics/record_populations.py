"""Populations of records exactly at their limit, and how often a random order of them is rejected: every time wrongly.

Each population has a float model's records and a candidate's, and a function from records to the value; the
requirement is what the candidate reaches on all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from search.metrics.metric import Metric
from search.metrics.part import Part, record_array
from search.metrics.recorded import recorded_metric
from search.metrics.sequential import early_verdict, look_schedule
from search.metrics.user_metric import UserMetric

N, BATCH = 2000, 64
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Records of float and of a candidate, and what makes a value of them."""

    name: str
    value: Callable[[Sequence[Any]], float]
    reference: Part
    chosen: Part

    @property
    def metric(self) -> Metric:
        """The metric, higher is better."""
        user = UserMetric(per_batch=lambda outputs, labels: [], value=self.value)
        return recorded_metric(self.name, user, "higher")


def rejections(population: Population, *, redraws: int, beyond: float = 0.0, seed: int = 7) -> tuple[float, float]:
    """Share of random orders that are rejected, and share of samples that did not run.

    Args:
        population: Records of all samples.
        redraws: How many orders.
        beyond: By how much the requirement is above what the candidate reaches; 0 makes every rejection wrong.
        seed: Of the orders.
    """
    metric, rng, n = population.metric, np.random.default_rng(seed), population.chosen.n
    required = metric.value([population.chosen])
    assert required is not None
    looks = look_schedule(n, BATCH)
    used = []
    for _ in range(redraws):
        order = rng.permutation(n)
        seen, floats = _ordered(population.chosen, order), _ordered(population.reference, order)
        used.append(
            next(
                (
                    m
                    for m in looks[:-1]
                    if early_verdict(
                        metric, seen.first(m), n=n, required=required + beyond, looks=len(looks) - 1, reference=floats
                    ).reject
                ),
                None,
            )
        )
    return float(np.mean([one is not None for one in used])), 1 - float(np.mean([one or n for one in used])) / n


def populations() -> list[Population]:
    """Macro F1, area under the curve, average precision, micro IoU and a median."""
    rng = np.random.default_rng(3)
    return [_macro_f1(rng), _area(rng), _average_precision(rng), _micro_iou(rng), _median(rng)]


def _ordered(part: Part, order: npt.NDArray[np.int64]) -> Part:
    assert part.values is not None
    return Part(part.n, values=part.values[order])


def _population(name: str, value: Callable[[Sequence[Any]], float], reference: Any, chosen: Any) -> Population:
    parts = [Part(len(one), values=record_array(np.asarray(one).tolist())) for one in (reference, chosen)]
    return Population(name, value, *parts)


def _macro_f1(rng: np.random.Generator) -> Population:
    labels = rng.choice(5, N, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    float_said = np.where(rng.random(N) < 0.85, labels, rng.integers(5, size=N))
    said = np.where(rng.random(N) < 0.05, rng.integers(5, size=N), float_said)

    def value(records: Sequence[Any]) -> float:
        table = np.zeros((5, 5))
        np.add.at(table, tuple(np.array(records).T), 1)
        hits, said, meant = np.diag(table), table.sum(axis=1), table.sum(axis=0)
        return float(np.mean(2 * hits / np.maximum(said + meant, 1)))

    return _population("macro F1", value, np.stack([float_said, labels], 1), np.stack([said, labels], 1))


def _scores(rng: np.random.Generator, share: float) -> tuple[Floats, Floats, Floats]:
    positive = (rng.random(N) < share).astype(np.float64)
    exact = rng.normal(1.5 * positive, 1.0)
    return positive, exact, exact + rng.normal(0, 0.3, N) - 0.1 * positive


def _area(rng: np.random.Generator) -> Population:
    positive, exact, rounded = _scores(rng, 0.3)

    def value(records: Sequence[Any]) -> float:
        score, is_positive = np.array(records).T
        ranks = np.empty(len(score))
        ranks[np.argsort(score)] = np.arange(1, len(score) + 1)
        n = is_positive.sum()
        return float((ranks[is_positive > 0].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))

    return _population("area under the curve", value, np.stack([exact, positive], 1), np.stack([rounded, positive], 1))


def _average_precision(rng: np.random.Generator) -> Population:
    positive, exact, rounded = _scores(rng, 0.1)

    def value(records: Sequence[Any]) -> float:
        score, is_positive = np.array(records).T
        hit = is_positive[np.argsort(-score)]
        precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
        return float((precision * hit).sum() / hit.sum()) if hit.any() else math.nan

    return _population("average precision", value, np.stack([exact, positive], 1), np.stack([rounded, positive], 1))


def _micro_iou(rng: np.random.Generator) -> Population:
    area = np.exp(rng.normal(6, 1, N))
    share = np.clip(rng.normal(0.8, 0.1, N), 0, 1)
    lower = np.clip(share - np.abs(rng.normal(0.01, 0.02, N)), 0, 1)

    def value(records: Sequence[Any]) -> float:
        hit, union = np.array(records).sum(axis=0)
        return float(hit / union)

    return _population("micro IoU", value, np.stack([area * share, area], 1), np.stack([area * lower, area], 1))


def _median(rng: np.random.Generator) -> Population:
    exact = rng.gamma(2, 1, N)
    return _population("median", lambda records: float(np.median(records)), exact, exact - rng.gamma(1, 0.05, N))
