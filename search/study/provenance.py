"""The provenance of a study: what its problem, its first look at model and data, and its driver say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from search.records.provenance import DataRecord, InputRecord, ModelRecord, Provenance
from search.study.results import Results
from search.work.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What only the driver knows.

    Attributes:
        command: What was typed; None where it was no command.
        machine: Processor, their number, system.
        date: Now, UTC, as ISO 8601.
        job: The job of the sitting that computed last, where this one only prints its result again.
    """

    command: str | None
    machine: str
    date: str
    job: Mapping[str, object] | None = None


def provenance_of(problem: Problem, results: Results, made: Circumstances | None, *, seconds: float) -> Provenance:
    """Return where the result of a study comes from.

    Args:
        problem: The study.
        results: What has been answered.
        made: What the driver knows.
        seconds: Search time.
    """
    return Provenance(
        model=_model(problem, results),
        data=tuple(_data(problem, results)),
        job=problem.spec.to_json() if made is None or made.job is None else made.job,
        versions=dict(problem.environment),
        command=None if made is None else made.command,
        machine=None if made is None else made.machine,
        date=None if made is None else made.date,
        seconds=round(seconds, 3),
    )


def _model(problem: Problem, results: Results) -> ModelRecord:
    file, digest = PurePath(problem.spec.model).name, problem.model
    if results.check is None:
        return ModelRecord(file=file, digest=digest)
    checked, model = results.check.value, results.check.value.model
    return ModelRecord(
        file=file,
        digest=digest,
        bytes=checked.model_bytes,
        opset=model.opset[0],
        exporter=model.exporter,
        inputs=tuple(InputRecord(name=one.name, dtype=one.dtype, shape=one.shape) for one in model.inputs),
    )


def _data(problem: Problem, results: Results) -> Iterator[DataRecord]:
    checked = None if results.check is None else results.check.value
    data = problem.spec.data
    yield DataRecord(
        role="calibration",
        file=_name(data.calibration),
        digest=problem.calibration,
        samples=None if checked is None else checked.n_calibration,
    )
    if data.evaluation is not None:
        yield DataRecord(
            role="evaluation",
            file=_name(data.evaluation),
            digest=problem.evaluation,
            samples=None if checked is None else checked.n_samples,
            classes={} if checked is None else checked.classes,
        )
    if data.confirmation is not None:
        yield DataRecord(role="confirmation", file=_name(data.confirmation), digest=problem.confirmation)


def _name(path: str) -> str:
    return PurePath(path).name or path
