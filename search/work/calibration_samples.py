"""Which calibration samples are delivered: those the scales come from, in their order.

A vendor's tool that calibrates by itself needs them. Horizon's compiler does, so its folder holds them by default, as
far as they are no larger than ``DELIVERED_BYTES``; elsewhere, and beyond that size, they are delivered on demand.
"""

from __future__ import annotations

import numpy as np

from search.data.order import sample_order
from search.data.source import SampleSource
from search.evaluation.configuration import Configuration
from search.work.delivery import Delivery
from search.work.item_runner import ItemRunner

DELIVERED_BYTES = 64 * 2**20


def delivered_rows(runner: ItemRunner, delivery: Delivery) -> tuple[int, ...] | None:
    """Return the rows of the calibration data to deliver; None for none."""
    problem, source = runner.problem, runner.calibration
    if not delivery.exports_calibration and (problem.target.march is None or problem.is_random):
        return None
    seed = problem.spec.search.seed if delivery.seeded else None
    rows = used_rows(source, delivery.configuration, seed=seed)
    return rows if delivery.exports_calibration or _n_bytes(source, rows) <= DELIVERED_BYTES else None


def used_rows(source: SampleSource, configuration: Configuration, *, seed: int | None) -> tuple[int, ...]:
    """Return the rows the scales come from; without a seed they were taken as they lie."""
    n = min(configuration.calibration.samples, source.n_samples)
    order = np.arange(source.n_samples) if seed is None else sample_order(source.n_samples, seed=seed)
    return tuple(int(row) for row in order[:n])


def _n_bytes(source: SampleSource, rows: tuple[int, ...]) -> int:
    """Size of the files, from that of the first sample: where sizes differ, they differ little."""
    return len(rows) * sum(array.nbytes for array in source.batch(np.array(rows[:1], np.intp)).values()) if rows else 0
