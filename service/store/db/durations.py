"""How long trials took, as a cumulative histogram over all studies: for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.schema import trials

BOUNDS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)


@dataclass(frozen=True)
class Durations:
    """A cumulative histogram.

    Attributes:
        buckets: ``(upper bound in seconds as text, number of trials up to it)``; the last bound is ``+Inf``.
        total_s: Sum of all durations.
    """

    buckets: Sequence[tuple[str, int]]
    total_s: float


def trial_durations(connection: Connection) -> Durations:
    """Count all trials by how long they took; one pass over the table."""
    below = [sa.func.sum(sa.case((trials.c.seconds <= bound, 1), else_=0)) for bound in BOUNDS_S]
    row = connection.execute(sa.select(*below, sa.func.count(), sa.func.sum(trials.c.seconds))).one()
    counts = [int(value or 0) for value in row[:-1]]
    names = [*(repr(bound) for bound in BOUNDS_S), "+Inf"]
    return Durations(tuple(zip(names, counts, strict=True)), float(row[-1] or 0.0))
