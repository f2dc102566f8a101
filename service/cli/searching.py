"""A whole local run behind the command line: open the job, drive it, deliver its files."""

from __future__ import annotations

import json
import time
from pathlib import Path

from search.errors import InvalidDataError, InvalidModelError, UsageError
from search.records.result import Result
from search.spec.job import JobSpec
from search.study.delivery import RESULT
from search.study.result import Measured, compose, large_files
from search.study.steering import Limits
from search.work.item_runner import ItemRunner
from service.cli.exits import exit_of_result
from service.cli.request import Request
from service.local.deliver import deliver
from service.local.driver import Driver, Outcome, Watch, interrupts
from service.local.inputs import LocalFiles, LocalProblem, open_problem
from service.local.intake import take_in
from service.local.pool import processes
from service.local.store import RunStore


def run_search(request: Request, job: JobSpec, watch: Watch) -> tuple[Result, int]:
    """Run, deliver, and return the result document with the exit code; ``watch`` is told how it goes.

    Everything that can be wrong with the input is found before the output directory is made or changed.

    Raises:
        SearchError: If the study cannot be run.
    """
    with interrupts() as asked:
        local = _open(request, job)
        began = time.monotonic()
        store = RunStore(request.out)
        store.inspect(local.identity, force=request.force)
        other = _other(request.reuse)
        runner = ItemRunner(local.problem, LocalFiles(local.paths, store))
        intake = take_in(runner, store.results, watch, began=began)
        store.open(local.identity, force=request.force)
        try:
            if intake is not None:
                intake.store(store)
                began = time.monotonic()
            with processes(request.jobs, local, request.out) as pool:
                driver = Driver(local.problem, runner, store, _limits(local), other, watch, asked, began, pool)
                outcome = driver.run()
            result = _deliver(local, runner, store, outcome)
        except (UsageError, InvalidModelError, InvalidDataError):
            store.discard()
            raise
        finally:
            store.close()
    return result, exit_of_result(result.outcome, result.stopped)


def _open(request: Request, job: JobSpec) -> LocalProblem:
    return open_problem(
        job,
        base=request.base,
        absolute=request.absolute,
        exports_calibration=request.export_calibration,
        dumps_layers=request.dump_layers,
    )


def _other(reuse: Path | None) -> RunStore | None:
    if reuse is None:
        return None
    other = RunStore(reuse)
    other.read()
    return other


def _limits(local: LocalProblem) -> Limits:
    search_spec = local.problem.spec.search
    return Limits(max_seconds=search_spec.max_seconds, max_evaluations=search_spec.max_evaluations)


def _deliver(local: LocalProblem, runner: ItemRunner, store: RunStore, outcome: Outcome) -> Result:
    measured = Measured(seconds=outcome.seconds, stopped=outcome.stopped)
    files = compose(local.problem, outcome.finished, measured, store.get)
    samples = runner.calibration if local.problem.exports_calibration else None
    deliver(store, files, samples, large_files(outcome.finished))
    return Result.from_json(json.loads(files[RESULT]))
