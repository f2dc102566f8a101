"""The calls of the package: search, export, check, targets, load_result."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
from threadpoolctl import threadpool_limits

from bitbudget._checked import CheckedModel
from bitbudget._metric import goal_of, objects
from bitbudget._result import Result
from bitbudget._rows import Rows
from bitbudget._samples import Samples
from search.errors import UsageError
from search.metrics.user_metric import Loop, PerBatch, UserMetric
from search.records.document import to_json
from search.spec.flags import merge_flags
from search.spec.goals import LIMITS, Goal
from search.spec.job import JobSpec
from search.spec.job import Target as TargetSpec
from search.spec.load import build_job, check_available, read_spec
from search.spec.resolve import resolve_target
from search.targets.target import load_target, target_names
from service.cli.progress import watcher
from service.local.driver import State
from service.local.export_trial import export_trial, folder_of
from service.local.inspection import inspect_model
from service.local.local_run import LocalRun, run_job

__all__ = ["CheckedModel", "Result", "Rows", "Samples", "check", "export", "load_result", "search", "targets"]

Data = str | Path | Samples | Mapping[str, npt.ArrayLike]
Goals = str | Goal | Sequence[str | Goal]
MetricLike = str | UserMetric | PerBatch | Loop
ROLES = ("calibration", "evaluation", "confirmation")


def search(
    model: str | Path | None = None,
    *,
    calibration: Data | None = None,
    evaluation: Data | None = None,
    confirmation: Data | None = None,
    goal: Goals | None = None,
    target: str | None = None,
    job: JobSpec | Mapping[str, Any] | str | Path | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    force: bool = False,
    reuse: str | Path | None = None,
    processes: int = 1,
    export_calibration: bool = False,
    dump_layers: bool = False,
    metric: MetricLike | None = None,
    **settings: str | float | None,
) -> Result:
    """Find the cheapest assignment that meets the goal, deliver its files, and return the result.

    The same job in the same folder goes on where it was, as on the command line; an interrupt (Ctrl-C) ends the
    search early and returns the best so far, a second one raises ``KeyboardInterrupt``.

    Args:
        model: ONNX file.
        calibration: ``.npz``, directory, ``"random"``, ``Samples``, or arrays by name (samples on axis 0).
        evaluation: The same, with labels where the metric needs them.
        confirmation: Data the search never sees; evaluated once at the end.
        goal: One or several, as ``Goal`` or as ``--goal`` takes it: ``"top1@logits,max-drop=0.01"``.
        target: Chip: a name of ``targets()`` or a TOML file.
        metric: Instead of ``goal``: a name, or a metric of your own, with one limit as a keyword (``max_drop``,
            ``min_value``, ``min_ratio``, ``max_increase``, ``max_value``). Your own is a function of
            ``(outputs, labels)``, a loop ``evaluate(run)``, or a ``Metric``.
        job: ``Job``, mapping, or path of a job file under the arguments, which win over it.
        out: Folder for the files: new, empty, or of an earlier run; None makes a new temporary one.
        progress: Whether progress is printed to standard error.
        force: Whether an earlier run in ``out`` is forgotten.
        reuse: Folder of another run whose results are taken over where they are for the same work.
        processes: How many compute at the same time; the answer is the same.
        export_calibration: Whether the calibration samples are delivered.
        dump_layers: Whether intermediate results are delivered.
        settings: ``toolchain``, ``strategy``, ``evaluator``, ``confidence``, ``max_evaluations``, ``max_seconds``,
            ``measure``, ``seed``, ``threads``, ``overrides``: as the options of ``bitbudget search``.

    Raises:
        UsageError: If the request is wrong.
        InvalidModelError: If the model cannot be used.
        InvalidDataError: If the data does not fit.
        SearchError: If bitbudget itself is at fault.
    """
    if processes < 1:
        raise UsageError(f"processes must be at least 1, got {processes}.")
    flags: dict[str, Any] = {**settings, "model": None if model is None else str(model), "target": target}
    given = {"calibration": calibration, "evaluation": evaluation, "confirmation": confirmation}
    kept = {role: _kept(data) for role, data in given.items() if data is not None}
    flags |= {role: path for role, (path, _) in kept.items()}
    flags = {name: value for name, value in flags.items() if value is not None}
    base, values = _job_values(job)
    goals = _goals(goal)
    if metric is not None and not isinstance(metric, str):
        goals.append(goal_of(metric, {name: flags.pop(name) for name in LIMITS if name in flags}))
    elif metric is not None:
        flags["metric"] = metric
    spec = _built(values, flags, goals)
    run = LocalRun(
        job=spec,
        out=Path(tempfile.mkdtemp(prefix="bitbudget-")) if out is None else Path(out),
        base=base,
        absolute=frozenset({*flags, *(("metric",) if goals else ())}),
        reuse=None if reuse is None else Path(reuse),
        force=force,
        export_calibration=export_calibration,
        dump_layers=dump_layers,
        trusts_python=True,
        own_metrics=objects([one for one in goals if isinstance(one, Goal)], processes=processes),
        processes=processes,
    )
    # A sum's last bit must not depend on the threads of linear algebra; a notebook has often loaded it before us.
    with threadpool_limits(1, user_api="blas"), _watching(is_shown=progress) as watch:
        return Result(run_job(run, watch), run.out)


def _kept(data: Data) -> tuple[str, Samples | None]:
    """Path of data, and what must live as long as it is read.

    Raises:
        UsageError: If it is nothing that holds samples.
    """
    if not isinstance(data, str | Path | Samples | Mapping):
        raise UsageError(f"Data is a path, Samples or a mapping from name to array, not {type(data).__name__}.")
    if isinstance(data, Mapping):
        data = Samples.from_iterable([data])
    return (str(data.folder), data) if isinstance(data, Samples) else (str(data), None)


def _job_values(job: JobSpec | Mapping[str, Any] | str | Path | None) -> tuple[Path, dict[str, Any]]:
    """Folder that paths of the job start from, and its values."""
    if job is None:
        return Path(), {"schema": "bitbudget.job/1"}
    if isinstance(job, JobSpec):
        return Path(), job.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if not isinstance(job, str | Path | Mapping):
        raise UsageError(f"A job is a Job, a mapping or the path of a job file, not {type(job).__name__}.")
    if isinstance(job, Mapping):
        return Path(), {"schema": "bitbudget.job/1", **job}
    try:
        return Path(job).parent, read_spec(Path(job).read_text(), where=str(job))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The job {str(job)!r} cannot be read: {error}.") from None


def _goals(goal: Goals | None) -> list[str | Goal]:
    if goal is None:
        return []
    goals = list(goal) if isinstance(goal, Sequence) and not isinstance(goal, str) else [goal]
    if any(isinstance(one, UserMetric) for one in goals):
        raise UsageError("A metric needs a limit: goal=metric.goal(max_drop=0.01), or metric=..., max_drop=0.01.")
    odd = [type(one).__name__ for one in goals if not isinstance(one, str | Goal)]
    if odd:
        raise UsageError(f"A goal is a Goal or a text such as 'top1,max-drop=0.01', not {odd[0]}.")
    return goals


def _built(values: Mapping[str, Any], flags: Mapping[str, Any], goals: Sequence[str | Goal]) -> JobSpec:
    texts = [one for one in goals if isinstance(one, str)]
    try:
        merged = merge_flags(values, {**flags, **({"goal": texts} if texts else {})})
    except ValueError as error:
        raise UsageError(f"search() does not know these arguments: {error}") from None
    records = [one.model_dump(mode="json", by_alias=True, exclude_unset=True) for one in goals if isinstance(one, Goal)]
    if records:
        merged["goal"] = [*(merged["goal"] if texts else []), *records]
    job = build_job(merged)
    check_available(job, trusts_python=True)  # a program that calls us runs its own code anyway
    return job


@contextmanager
def _watching(*, is_shown: bool) -> Iterator[Any]:
    if is_shown:
        with watcher() as watch:
            yield watch
        return

    def silent(state: State) -> None:
        del state

    yield silent


def check(model: str | Path, *, target: str = "j6m", toolchain: str | None = None) -> CheckedModel:
    """Read a model without data: its groups, its findings and what the chip allows.

    Args:
        model: ONNX file.
        target: Chip: a name of ``targets()`` or a TOML file.
        toolchain: Version of the vendor's tools.

    Raises:
        UsageError: If the file or the target does not exist.
        InvalidModelError: If the model cannot be used.
    """
    if not Path(model).exists():
        raise UsageError(f"The model {str(model)!r} does not exist. Check the path.")
    resolved = resolve_target(TargetSpec(name=target, toolchain=toolchain))
    found = inspect_model(Path(model), load_target(resolved.name, toolchain=resolved.toolchain))
    document = found.to_json()
    findings = Rows(to_json(finding) for finding in found.findings)
    return CheckedModel(Rows(document["groups"]), findings, tuple(document["outputs"]), document)


def targets() -> dict[str, str]:
    """Return the chips that are built in: name to title."""
    return {name: load_target(name, toolchain=None).title for name in target_names()}


def export(
    directory: str | Path, *, trial: int | None = None, out: str | Path | None = None, progress: bool = True
) -> Result:
    """Deliver a trial of a search that has ended, with the same re-check; nothing is measured twice.

    Args:
        directory: Folder of the search; nothing that it delivered is changed.
        trial: Number of a trial that ran on every sample (``result.trials``); None takes what the search chose.
        out: Folder for the files; None takes ``trial-N`` in ``directory``.
        progress: Whether progress is printed to standard error.

    Raises:
        UsageError: If the folder holds no finished search, its model or data are others by now, its metric was an
            object of the program, or no such trial ran in full.
    """
    source = Path(directory)
    place = folder_of(source, trial) if out is None else Path(out)
    with threadpool_limits(1, user_api="blas"), _watching(is_shown=progress) as watch:
        return Result(export_trial(source, trial=trial, out=place, watch=watch, trusts_python=True), place)


def load_result(path: str | Path) -> Result:
    """Read the result of an earlier search: its folder, or its ``result.json``.

    Raises:
        UsageError: If it cannot be read, or is no result.
    """
    return Result.load(Path(path))
