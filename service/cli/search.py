"""``bitbudget search``: the whole pipeline on this machine, without a server."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from search.errors import InvalidDataError, InvalidModelError, UsageError
from search.records.result import Result
from search.spec.flags import FLAG_KEYS, GOAL_FLAGS, merge_flags
from search.spec.job import Run
from search.spec.load import build_job, check_available, read_spec
from search.study.delivery import RESULT
from search.study.result import Measured, compose, large_files
from search.study.steering import Limits
from search.work.item_runner import ItemRunner
from service.cli.exits import exit_of_result
from service.cli.progress import watcher
from service.cli.summary import print_summary
from service.local.deliver import deliver
from service.local.driver import Driver, Outcome, interrupts
from service.local.inputs import LocalFiles, LocalProblem, open_problem
from service.local.intake import take_in
from service.local.pool import processes
from service.local.store import RunStore

GOAL_PATHS = frozenset({"metric", "goal"})  # may hold onnx:<path>
PATH_FLAGS = frozenset({"model", "calibration", "evaluation", "confirmation", "overrides"})
"""Given on the command line, these start from the working directory; in a spec file, from its folder."""


def search(  # noqa: PLR0917  one parameter per option
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="ONNX file; or given in --spec.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output directory: empty, new, or an earlier run to go on with.")
    ] = None,
    calibration: Annotated[str | None, typer.Option(help=".npz, directory, or 'random'.")] = None,
    evaluation: Annotated[
        str | None, typer.Option(help=".npz or directory, with labels where the metric needs them.")
    ] = None,
    confirmation: Annotated[
        str | None, typer.Option(help="Data the search never sees; evaluated once at the end.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Chip: see 'bitbudget targets'; or a TOML file.")] = None,
    toolchain: Annotated[str | None, typer.Option(help="Version of the vendor's tools, such as 3.2.0.")] = None,
    metric: Annotated[str | None, typer.Option(help="One metric, NAME or NAME@OUTPUT.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Score may fall this far below float.")] = None,
    min_value: Annotated[float | None, typer.Option(help="Score must reach this value.")] = None,
    min_ratio: Annotated[float | None, typer.Option(help="Share of the float value to keep.")] = None,
    max_increase: Annotated[float | None, typer.Option(help="Error may rise this far above float.")] = None,
    max_value: Annotated[float | None, typer.Option(help="Error must stay below this value.")] = None,
    goal: Annotated[
        list[str] | None, typer.Option(help="'top1@logits,labels=labels,max-drop=0.01'; repeatable.")
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="auto | ladder | optuna | exhaustive.")] = None,
    evaluator: Annotated[str | None, typer.Option(help="fake_quant.")] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Level of the one-sided bound that must reach the goal.")
    ] = None,
    max_evaluations: Annotated[int | None, typer.Option(help="Stop after this many trials.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sample order.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads inside operators.")] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes that compute at the same time, --threads each; same answer.")
    ] = 1,
    overrides: Annotated[str | None, typer.Option(help="Tensor overrides (JSON) to keep as pins.")] = None,
    spec: Annotated[Path | None, typer.Option(help="Job spec (YAML or JSON); flags win over it.")] = None,
    reuse: Annotated[Path | None, typer.Option(help="Another run whose results are taken over.")] = None,
    force: Annotated[
        bool, typer.Option(help="Start over: forget an earlier run in --out and delete what it delivered.")
    ] = False,
    export_calibration: Annotated[
        bool, typer.Option(help="Deliver the calibration samples too, for the vendor's tools.")
    ] = False,
    dump_layers: Annotated[
        bool, typer.Option(help="Deliver every intermediate result of 8 samples, float and quantized, as .npz.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Find the cheapest assignment that meets the goal, and write it with its evidence."""
    if out is None:
        raise UsageError("No output directory. Give --out DIR.")
    # every option that shapes the spec is read from the context by its name, the others below
    flags = {name: context.params[name] for name in (*FLAG_KEYS, *GOAL_FLAGS) if context.params[name] is not None}
    request = Request(
        flags=flags,
        out=out,
        spec=spec,
        reuse=reuse,
        force=force,
        export_calibration=export_calibration,
        dump_layers=dump_layers,
        jobs=jobs,
    )
    gc.freeze()  # what is loaded stays: the collector need not look through the libraries again and again
    result, code = run_search(request)
    if as_json:
        typer.echo((out / RESULT).read_text(), nl=False)
    else:
        print_summary(result, out)
    raise typer.Exit(code)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asked for.

    Attributes:
        flags: Options that shape the spec, those that were given.
        out: Output directory.
        spec: Spec file under the flags.
        reuse: Another run's directory.
        force: Whether an earlier run in ``out`` is forgotten.
        export_calibration: Whether the calibration samples are delivered.
        dump_layers: Whether intermediate results are delivered.
        jobs: Processes that compute at the same time.
    """

    flags: Mapping[str, Any]
    out: Path
    spec: Path | None = None
    reuse: Path | None = None
    force: bool = False
    export_calibration: bool = False
    dump_layers: bool = False
    jobs: int = 1


def run_search(request: Request) -> tuple[Result, int]:
    """Run, deliver, and return the result document with the exit code.

    Everything that can be wrong with the input is found before the output directory is made or changed.

    Raises:
        SearchError: If the study cannot be run.
    """
    with interrupts() as asked:
        local = _open(request)
        _note_server_keys(local.problem.spec.run)
        began = time.monotonic()
        store = RunStore(request.out)
        store.inspect(local.identity, force=request.force)
        other = _other(request.reuse)
        runner = ItemRunner(local.problem, LocalFiles(local.paths, store))
        with watcher(local.problem) as watch:
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


def _open(request: Request) -> LocalProblem:
    values: dict[str, Any] = {"schema": "bitbudget.job/1"}
    base = Path()
    if request.spec is not None:
        try:
            values = read_spec(request.spec.read_text(), where=str(request.spec))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The spec {str(request.spec)!r} cannot be read: {error}.") from None
        base = request.spec.parent
    job = build_job(merge_flags(values, request.flags))
    check_available(job)
    return open_problem(
        job,
        base=base,
        absolute=PATH_FLAGS.intersection(request.flags) | ({"metric"} if request.flags.keys() & GOAL_PATHS else set()),
        exports_calibration=request.export_calibration,
        dumps_layers=request.dump_layers,
    )


def _note_server_keys(run: Run) -> None:
    """Say which keys of the job only a server heeds."""
    if run.timeout_s is not None:
        typer.echo("note: run.timeout_s is for a server; a local search takes --max-seconds.", err=True)
    if run.priority:
        typer.echo("note: run.priority is for the queue of a server; a local search has none.", err=True)


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
