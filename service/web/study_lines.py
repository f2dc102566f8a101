"""A study as one line of a list and as the head of its own pages: words and numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from search.export.report import text
from search.export.report.metrics import MetricRow, metric_rows
from search.records.verdict import Outcome
from service.store.db.schema import TERMINAL
from service.store.db.studies import Study, StudyLine
from service.usecases.studies.results import cost_of, goals_of, quantized_of

OUTCOMES = {outcome.value: outcome.label for outcome in Outcome}
_TONES = {"failed": "bad", "running": "busy", "cancelling": "busy", "queued": "busy"}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is being done: ``share`` is of the step at hand, in percent, None if its size is not known."""

    task: str
    completed: int
    total: int
    share: float | None
    n_trials: int

    @property
    def told(self) -> str:
        """The step in words."""
        return f"{self.task}, {self.completed:,} of {self.total:,}" if self.total else self.task


@dataclass(frozen=True, kw_only=True)
class StudyHead:
    """A study as it is named and summed up.

    Attributes:
        label: Its name, else the start of its id.
        tone: ``good | fair | bad | busy | open``: colour and symbol of ``verdict``.
        verdict: Outcome of a study that has one, else its state.
        cost: Of the chosen assignment, as printed; an estimate unless ``is_measured``.
        metrics: Accuracy with interval and number of samples.
        actions: What may be asked of it now: ``cancel | pause | resume | delete``.
    """

    id: str
    label: str
    is_named: bool
    state: str
    tone: str
    verdict: str
    phase: str
    progress: Progress
    stopped: str
    target: str
    cost: str
    is_measured: bool
    metrics: tuple[MetricRow, ...]
    error: str
    error_hint: str
    seconds: str
    created: datetime
    version: int
    is_terminal: bool
    actions: tuple[str, ...]

    @property
    def address(self) -> str:
        """Its page."""
        return f"/studies/{self.id}"


def head_of(study: StudyLine | Study) -> StudyHead:
    """Return a study as it is shown."""
    cost = cost_of(study)
    error = study.error or {}
    return StudyHead(
        id=study.id,
        label=text.clean(study.name, 80) if study.name else study.id[:13],
        is_named=bool(study.name),
        state=study.state,
        tone=_tone(study),
        verdict=_verdict(study),
        phase=text.words(study.phase or ""),
        progress=progress_of(study.progress),
        stopped=text.words(study.stopped or ""),
        target=text.clean(study.target, 40),
        cost=text.cost(cost.chosen, cost.unit),
        is_measured=cost.source == "measured",
        metrics=metric_rows(goals_of(study) if study.result else ()),
        error=text.sentence(error.get("message") or ""),
        error_hint=text.sentence(error.get("hint") or ""),
        seconds=text.seconds(study.seconds),
        created=study.created,
        version=study.version,
        is_terminal=study.state in TERMINAL,
        actions=_actions(study.state),
    )


def _verdict(study: StudyLine | Study) -> str:
    if not study.outcome:
        return study.state
    quantized = quantized_of(study)
    told = "" if quantized is None else quantized.told
    return f"{OUTCOMES[study.outcome]}; {told}" if told else OUTCOMES[study.outcome]


def _tone(study: StudyLine | Study) -> str:
    if study.outcome is None:
        return _TONES.get(study.state, "open")
    outcome = Outcome(study.outcome)
    quantized = quantized_of(study)
    is_little = quantized is not None and quantized.is_little
    unsure = outcome is Outcome.MET and (is_little or any(goal.tone == "fair" for goal in goals_of(study)))
    return "fair" if unsure else outcome.tone


def heads_of(studies: Iterable[StudyLine]) -> tuple[StudyHead, ...]:
    """Return studies as they are shown."""
    return tuple(head_of(study) for study in studies)


def progress_of(value: Mapping[str, Any] | None) -> Progress:
    """Return the progress that a worker has written."""
    found = value or {}
    completed, total = (int(text.finite(found.get(key)) or 0) for key in ("completed", "total"))
    return Progress(
        task=text.clean(found.get("task") or ""),
        completed=completed,
        total=total,
        share=round(100 * min(completed, total) / total, 1) if total > 0 else None,
        n_trials=int(text.finite(found.get("trials")) or 0),
    )


def _actions(state: str) -> tuple[str, ...]:
    if state in TERMINAL:
        return ("delete",)
    return {
        "queued": ("pause", "cancel"),
        "running": ("pause", "cancel"),
        "paused": ("resume", "cancel"),
    }.get(state, ())
