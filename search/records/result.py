"""``result.json``: everything a finished study has to say, and the only place its keys are written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from search.records.document import read, to_json
from search.records.finding import Finding
from search.records.goal import GoalRecord, Interval
from search.records.provenance import Provenance
from search.records.quantized import QuantizedRecord
from search.records.timing import TimingRecord
from search.records.trial import TrialRecord
from search.records.verdict import Outcome

SCHEMA = "bitbudget.result/2"
_BEFORE = "bitbudget.result/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRecord:
    """What the delivered assignment costs, beside both bounds.

    Attributes:
        unit: ``index``, or ``us`` on a target fitted to measurements.
        chosen: Of the delivered assignment.
        all_low: Of the lower bound.
        all_high: Of the upper bound.
        source: ``assumed | measured``.
        assumed_share: Of ``chosen``, from assumed coefficients.
        interval: What nine in ten measurements of ``chosen`` should lie in; None for an index.
    """

    unit: str = "index"
    chosen: float | None = None
    all_low: float | None = None
    all_high: float | None = None
    source: str = "assumed"
    assumed_share: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node of the user's graph; ``role`` is ``compute | fused | pass_through | folded | float``."""

    precision: str | None = None
    requested: str | None = None
    group: str | None = None
    role: str = "compute"
    into: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """The type a model output leaves with; scale and zero point where it is an integer."""

    dtype: str = ""
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffortRecord:
    """What the search took; ``full_set_equivalents`` is the samples it ran over those of the evaluation set."""

    evaluations: int = 0
    full_set_equivalents: float | None = None
    seconds: float | None = None
    float_evaluation_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """A complete trial that no other beats in cost and accuracy."""

    trial: int
    cost: float
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished study.

    Attributes:
        schema: Of the file it was read from.
        outcome: How it ended.
        stopped: Why it ended early: ``time | evaluations | interrupt | cancel``; None if it did not.
        target: The chip.
        toolchain: Version of its tools.
        strategy: What searched.
        seed: Of the sample order.
        verified: By what the verdict was reached: ``simulator | fake_quant | runtime``.
        metrics: The goals.
        cost: Of the delivered assignment.
        timing: What finalists take on this machine; None where nothing was timed.
        quantized: How much of the compute of the delivered assignment is in integers; None for a network without.
        chosen_trial: Number of the delivered trial; None if none is complete.
        assignment: Node of the user's graph to its precision.
        outputs: Model output to the type it leaves with.
        calibration: How ranges were found (docs/results.md).
        search: What it took.
        minimal: Whether no group can go lower alone; None where nothing is claimed.
        trials: In the order they began.
        front: Cheapest first.
        findings: Most serious first.
        artifacts: Short name to relative path of every delivered file.
        provenance: Model, data, job, versions, machine and date; None in files of before.
    """

    schema: str = SCHEMA
    outcome: Outcome
    stopped: str | None = None
    target: str = ""
    toolchain: str | None = None
    strategy: str = ""
    seed: int | None = None
    verified: str | None = None
    metrics: tuple[GoalRecord, ...] = ()
    cost: CostRecord = field(default_factory=CostRecord)
    timing: TimingRecord | None = None
    quantized: QuantizedRecord | None = None
    chosen_trial: int | None = None
    assignment: Mapping[str, NodeRecord] = field(default_factory=dict)
    outputs: Mapping[str, OutputRecord] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    search: EffortRecord = field(default_factory=EffortRecord)
    minimal: bool | None = None
    trials: tuple[TrialRecord, ...] = ()
    front: tuple[FrontPoint, ...] = ()
    findings: tuple[Finding, ...] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None

    @classmethod
    def from_json(cls, document: object) -> Result:
        """Return the result of a document of this schema or the one before, which named no chosen trial.

        Raises:
            ValueError: If it is no result, or holds what this version does not know; names the place.
        """
        schema = document.get("schema") if isinstance(document, Mapping) else None
        if schema not in (SCHEMA, _BEFORE):
            raise ValueError(f"The schema of a result is {SCHEMA!r} or {_BEFORE!r}, not {schema!r}.")
        found = read(cls, document)
        return found if schema == SCHEMA else replace(found, chosen_trial=_chosen_before(found))

    def to_json(self) -> dict[str, Any]:
        """Return the value of ``result.json``."""
        found: dict[str, Any] = to_json(self)
        return found

    def to_text(self) -> str:
        """Return the content of ``result.json``."""
        return json.dumps(self.to_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _chosen_before(result: Result) -> int | None:
    """The trial on the front that has the cost and the values of what was delivered, of a schema that names none."""
    values = {goal.id: goal.chosen for goal in result.metrics}
    same = (point.trial for point in result.front if point.cost == result.cost.chosen and dict(point.values) == values)
    return next(same, None)
