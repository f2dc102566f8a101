"""A trial: one configuration and what its evaluation said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.assignment import Assignment
from search.evaluation.configuration import Configuration
from search.evaluation.refusal import Refusal
from search.metrics.part import Part
from search.records.trial import Estimate
from search.records.verdict import Verdict
from search.simulator.program import Warned


@dataclass(frozen=True)
class Exported:
    """What the Q/DQ model of a configuration said on the evaluation set.

    Attributes:
        ranges: ``(start, stop, digest of the outputs)`` in the order they were run.
        values: Goal id to value over the samples run.
        n_run: Samples run; fewer than all if it was ruled out early.
    """

    ranges: tuple[tuple[int, int, str], ...]
    values: Mapping[str, float | None]
    n_run: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One evaluated assignment.

    Attributes:
        number: From 1, in the order of the study.
        stage: What the strategy was doing.
        why: What this trial was to find out.
        ratio: Share of the tables it promoted, where that is its meaning.
        requested: Before the chip rules.
        reasons: Group index to why its precision was changed.
        configuration: The effective model.
        cost: Cost index.
        parts: Goal id to results per range.
        ranges: ``(start, stop, digest of the outputs)`` in the order they were run.
        values: Goal id to value over the samples run, by the evaluator of record.
        n_run: Samples run.
        estimates: Goal id to what is expected of the full set; empty where it ran in full or nothing can be said.
        decided: Goals that ruled it out early.
        verdict: How it ended.
        exported: What the Q/DQ model said; None where it was not asked.
        infeasible: Why the chip cannot run it; None if it can.
        warnings: What the integer program gave way to.
        float_interior: Quantized groups the simulator computed in float between integer ends.
        worst: Output to error name to the worst samples; empty unless asked for.
        errors: Output to error name to the mean over the samples run; empty unless asked for.
        evaluated: Whether any of it was computed for this study rather than taken over from another.
        checked: Ranges the exported file was measured on, as ``ranges`` but with None where nothing was to be compared;
            None where the trial was not completed by its exported file.
        n_again: Samples run once more by the exported file.
        seconds: Measured time.
    """

    number: int
    stage: str
    why: str
    ratio: float | None
    requested: Assignment
    reasons: Mapping[int, str]
    configuration: Configuration
    cost: float
    parts: Mapping[str, Sequence[Part]]
    ranges: tuple[tuple[int, int, str], ...]
    values: Mapping[str, float | None]
    n_run: int
    verdict: Verdict
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    decided: tuple[str, ...] = ()
    exported: Exported | None = None
    infeasible: Refusal | None = None
    warnings: tuple[Warned, ...] = ()
    float_interior: tuple[str, ...] = ()
    worst: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]] = field(default_factory=dict)
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    evaluated: bool = True
    checked: tuple[tuple[int, int, str | None], ...] | None = None
    n_again: int = 0
    seconds: float = 0.0

    @property
    def is_met(self) -> bool:
        """Whether every goal is reached on the full evaluation set."""
        return self.verdict is Verdict.MET

    @property
    def is_promising(self) -> bool:
        """Whether every goal is reached, for certain or as far as was seen."""
        return self.verdict in (Verdict.MET, Verdict.PROMISING)

    @property
    def is_complete(self) -> bool:
        """Whether it ran on the full evaluation set."""
        return self.verdict.is_complete
