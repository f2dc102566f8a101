"""Times that were measured on this machine, beside the estimates of the cost model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedModel:
    """One model.

    Attributes:
        name: ``float`` for the user's model, else the trial.
        milliseconds: Per sample; median over interleaved rounds, corrected for drift.
        trial: Number of the trial; None for a model that is none.
        values: Goal to value, where it is no trial and was measured.
        is_met: Whether it meets every goal; None where it was not measured for itself.
    """

    name: str
    milliseconds: float
    trial: int | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    is_met: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRecord:
    """What the clock said of the finalists.

    Attributes:
        batch: Samples in a run.
        threads: Intra-op threads.
        rounds: Timings of each that count.
        noise: Relative difference between two halves of the rounds.
        models: Float first.
        file: A model beside the delivered one that meets the goals and is faster: its path; else None.
        chosen: Milliseconds per sample of what is delivered; None if it was not timed.
        changed_the_answer: Whether the cost model alone would have chosen another trial.
    """

    batch: int
    threads: int
    rounds: int
    noise: float
    models: tuple[TimedModel, ...]
    file: str | None = None
    chosen: float | None = None
    changed_the_answer: bool = False
