"""A whole search on this machine: open the job, drive it, deliver its files. Command line and Python API call it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from search.errors import InvalidDataError, InvalidModelError, UsageError
from search.metrics.custom import MetricFailedError
from search.metrics.user_metric import UserMetric
from search.records.result import Result
from search.spec.job import JobSpec
from search.study.delivery import RESULT, delivered_samples
from search.study.plan import Replay, Stop
from search.study.result import Measured, compose, large_files
from search.study.steering import Limits
from search.work.item_runner import ItemRunner
from service.local.circumstances import circumstances
from service.local.deliver import deliver
from service.local.driver import Driver, Outcome, State, Watch, interrupts
from service.local.inputs import LocalFiles, LocalProblem, open_problem
from service.local.intake import take_in
from service.local.pool import processes
from service.local.store import RunStore


@dataclass(frozen=True, kw_only=True)
class LocalRun:
    """A job, where it runs and how.

    Attributes:
        job: What is searched.
        out: Output directory: new, empty, or of an earlier run of the same job, which goes on.
        base: Folder that relative paths of the job start from.
        absolute: Roles whose relative paths start from ``here`` instead.
        here: The working directory, or that of the run whose job this is.
        reuse: Directory of another run whose results are taken over where they are for exactly the same work.
        force: Whether an earlier run in ``out`` is forgotten.
        export_calibration: Whether the calibration samples are delivered.
        dump_layers: Whether intermediate results are delivered.
        trusts_python: Whether metrics that are Python code may run.
        own_metrics: Metrics that a program gave as objects, by the name of their goal.
        processes: How many compute at the same time.
        command: What was typed, for the result; None where it is no command.
        delivers: Number of the trial to deliver instead of the best; all others are those of ``reuse``.
        ended: How the search of ``reuse`` was stopped, where only a trial of it is delivered.
    """

    job: JobSpec
    out: Path
    base: Path = Path()
    absolute: frozenset[str] = frozenset()
    here: Path = Path()
    reuse: Path | None = None
    force: bool = False
    export_calibration: bool = False
    dump_layers: bool = False
    trusts_python: bool = False
    own_metrics: Mapping[str, UserMetric] = field(default_factory=dict)
    processes: int = 1
    command: str | None = None
    delivers: int | None = None
    ended: Stop | None = None


def run_job(run: LocalRun, watch: Watch) -> Result:
    """Run, deliver, and return the result; the first interrupt delivers the best so far.

    Everything that can be wrong with the input is found before the output directory is made or changed.

    Args:
        run: What to do.
        watch: Told how it goes.

    Raises:
        SearchError: If the job cannot be run.
        KeyboardInterrupt: At the second interrupt; what is stored stays.
    """
    with interrupts() as asked:
        local = _open(run)
        began = time.monotonic()
        store = RunStore(run.out)
        store.inspect(local.identity, force=run.force)
        for name in store.changed_metrics:
            note = f"Metric {name} is another one than before: it is measured again, all else is kept."
            watch(State(Replay(local.problem), note=note))
        other = _other(run, local)
        runner = ItemRunner(local.problem, LocalFiles(local.paths, store))
        intake = take_in(runner, store.results, watch, began=began)
        store.open(local.identity, force=run.force)
        try:
            if intake is not None:
                intake.store(store)
                began = time.monotonic()
            with processes(run.processes, local, run.out) as pool:
                stop = asked if run.ended is None else lambda: asked() or run.ended
                driver = Driver(local.problem, runner, store, _limits(local), other, watch, stop, began, pool)
                outcome = driver.run(delivers=run.delivers)
            store.keep_job(_job_document(run))
            return _deliver(local, runner, store, outcome, run.command)
        except MetricFailedError:
            raise  # another metric can go on with what is stored, by reuse
        except (UsageError, InvalidModelError, InvalidDataError):
            store.discard()
            raise
        finally:
            store.close()


def _job_document(run: LocalRun) -> dict[str, object]:
    """The job without its limits, which a later sitting may change, and the folders that its paths start from."""
    unlimited = run.job.search.model_copy(update={"max_evaluations": None, "max_seconds": None})
    return {
        "job": run.job.model_copy(update={"search": unlimited}).to_json(),
        "base": str(run.base.absolute()),
        "here": str(run.here.absolute()),
        "absolute": sorted(run.absolute),
    }


def _open(run: LocalRun) -> LocalProblem:
    return open_problem(
        run.job,
        base=run.base,
        absolute=run.absolute,
        here=run.here,
        exports_calibration=run.export_calibration,
        dumps_layers=run.dump_layers,
        trusts_python=run.trusts_python,
        own_metrics=run.own_metrics,
    )


def _other(run: LocalRun, local: LocalProblem) -> RunStore | None:
    if run.reuse is None:
        return None
    other = RunStore(run.reuse)
    if run.delivers is not None:
        other.inspect(local.identity, force=False)  # a trial of another model or of other data is none of this search
    else:
        other.read()
    return other


def _limits(local: LocalProblem) -> Limits:
    search_spec = local.problem.spec.search
    return Limits(max_seconds=search_spec.max_seconds, max_evaluations=search_spec.max_evaluations)


def _deliver(local: LocalProblem, runner: ItemRunner, store: RunStore, outcome: Outcome, command: str | None) -> Result:
    made = circumstances(store.out / RESULT, outcome.seconds, command)
    measured = Measured(seconds=outcome.seconds, stopped=outcome.stopped, made=made)
    files = compose(local.problem, outcome.finished, measured, store.get)
    samples = delivered_samples(outcome.finished, runner.calibration)
    deliver(store, files, samples, large_files(outcome.finished))
    return Result.from_json(json.loads(files[RESULT]))
