"""``trials.csv``: every evaluated assignment in order, what it cost and why it was taken or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from search.export.csv_text import csv_bytes

_BEFORE = ("trial", "stage", "base", "ratio", "requested", "effective", "cost", "samples")
_AFTER = ("verdict", "why", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLine:
    """One trial.

    Attributes:
        trial: Number in the study, from 0.
        stage: Step of the strategy that proposed it.
        base: Base of the tables it used, or None.
        ratio: Share of the table that was raised (text where each table has its own), or None.
        requested: Digest of the requested assignment.
        effective: Digest of the effective assignment.
        cost: In the unit of the result: the cost index, or microseconds of a fitted target.
        samples: Evaluation samples that ran; fewer than all if it was rejected early.
        verdict: ``met``, ``not_met``, ``rejected``, ``promising`` (a provisional yes that was not followed up), or
            ``fail`` where the chip cannot run it.
        why: Reason in one sentence.
        seconds: Time it took, the one column that differs between equal runs.
        metrics: Metric id to value, None where it has none.
    """

    trial: int
    stage: str
    base: str | None
    ratio: float | str | None
    requested: str
    effective: str
    cost: float
    samples: int
    verdict: str
    why: str
    seconds: float
    metrics: Mapping[str, float | None] = field(default_factory=dict)


def trials_csv(lines: Iterable[TrialLine], *, metrics: Sequence[str]) -> bytes:
    """Return the file with one column per metric id, sorted by trial."""
    rows = (
        [
            *(getattr(line, name) for name in _BEFORE),
            *(line.metrics.get(metric) for metric in metrics),
            *(getattr(line, name) for name in _AFTER),
        ]
        for line in sorted(lines, key=lambda line: line.trial)
    )
    return csv_bytes([*_BEFORE, *metrics, *_AFTER], rows)
