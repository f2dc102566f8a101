"""A finished search: the fields of ``result.json``, its tables as rows, and how a notebook shows it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bitbudget._html import result_html
from bitbudget._rows import Rows
from search.records.finding import Finding
from search.records.goal import GoalRecord
from search.records.quantized import QuantizedRecord
from search.records.result import CostRecord, EffortRecord, OutputRecord
from search.records.result import Result as ResultRecord
from search.records.timing import TimingRecord
from search.records.trial import TrialRecord
from search.records.verdict import Outcome
from service.local.delivered_result import read_result

SENSITIVITY = "sensitivity.csv"


@dataclass(frozen=True)
class Result:
    """A finished search and the folder of its files.

    Attributes:
        record: ``result.json``, typed.
        folder: Where the files were delivered.
    """

    record: ResultRecord
    folder: Path

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read a folder that a search delivered to, or its ``result.json``.

        Raises:
            UsageError: If it cannot be read, or is no result.
        """
        return cls(read_result(path), path if path.is_dir() else path.parent)

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return self.record.outcome

    @property
    def stopped(self) -> str | None:
        """Why it ended early: ``time | evaluations | interrupt``; None if it did not."""
        return self.record.stopped

    @property
    def target(self) -> str:
        """The chip."""
        return self.record.target

    @property
    def metrics(self) -> tuple[GoalRecord, ...]:
        """The goals with all their values."""
        return self.record.metrics

    @property
    def cost(self) -> CostRecord:
        """Cost of the delivered assignment and of both bounds."""
        return self.record.cost

    @property
    def timing(self) -> TimingRecord | None:
        """What finalists take on this machine; None where nothing was timed."""
        return self.record.timing

    @property
    def quantized(self) -> QuantizedRecord | None:
        """How much of the compute is in integers; None for a network without."""
        return self.record.quantized

    @property
    def chosen(self) -> TrialRecord | None:
        """The delivered trial; None if none is complete."""
        return next((trial for trial in self.record.trials if trial.no == self.record.chosen_trial), None)

    @property
    def effort(self) -> EffortRecord:
        """What the search took (``search`` in the file)."""
        return self.record.search

    @property
    def outputs(self) -> Mapping[str, OutputRecord]:
        """Model output to the type it leaves with."""
        return self.record.outputs

    @property
    def minimal(self) -> bool | None:
        """Whether no group can go lower alone; None where nothing is claimed."""
        return self.record.minimal

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What to look at, most serious first."""
        return self.record.findings

    @property
    def artifacts(self) -> dict[str, Path]:
        """Short name to path of every delivered file."""
        return {name: self.folder / path for name, path in self.record.artifacts.items()}

    @property
    def assignment(self) -> Rows:
        """One row per node: ``node``, ``precision``, ``requested``, ``group``, ``role``, ``into``, ``why``."""
        return Rows({"node": name, **asdict(node)} for name, node in self.record.assignment.items())

    @property
    def trials(self) -> Rows:
        """One row per trial; of goal ``g``, ``seen.g`` and ``estimate.g`` with ``estimate.g.low`` and ``.high``."""
        return Rows(_trial_row(trial, [goal.id for goal in self.metrics]) for trial in self.record.trials)

    @property
    def front(self) -> Rows:
        """One row per trial on the Pareto front, cheapest first: ``trial``, ``cost`` and a column per goal."""
        return Rows({"trial": one.trial, "cost": one.cost, **one.values} for one in self.record.front)

    @property
    def sensitivity(self) -> Rows:
        """The rows of ``sensitivity.csv``, numbers as numbers; none where nothing was measured."""
        path = self.folder / SENSITIVITY
        return Rows(_sensitivity_rows(path)) if path.is_file() else Rows()

    def show(self) -> None:
        """Print verdict, goals, cost and findings, as the command line does."""
        from service.cli.summary import print_summary  # noqa: PLC0415  loads rich

        print_summary(self.record, self.folder)

    def __repr__(self) -> str:
        return f"Result({self.outcome.value} on {self.target}, cost {self.cost.chosen}, {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return result_html(self.record, self.folder)


def _trial_row(trial: TrialRecord, goals: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": trial.no,
        "stage": trial.stage,
        "role": trial.role.value,
        "cost": trial.cost,
        "n_run": trial.n_run,
        "n_samples": trial.n_samples,
        "verdict": trial.verdict.value,
        "why": trial.why,
        "digest": trial.digest,
    }
    for goal in goals:
        estimate = trial.estimates.get(goal)
        row |= {
            f"seen.{goal}": trial.seen.get(goal),
            f"estimate.{goal}": None if estimate is None else estimate.value,
            f"estimate.{goal}.low": None if estimate is None else estimate.low,
            f"estimate.{goal}.high": None if estimate is None else estimate.high,
        }
    return row


_NUMBERS = {"value": float, "flops": int, "flops_share": float, "rank": int}


def _sensitivity_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield {key: _NUMBERS.get(key, str)(text) if text else None for key, text in row.items()}
