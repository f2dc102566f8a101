"""``bitbudget search``: the whole pipeline on this machine, without a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from search.spec.flags import merge_flags
from search.spec.load import build_job, check_available, read_spec
from search.study.result import Measured, compose
from service.cli.exits import exit_of_result
from service.cli.progress import watcher
from service.cli.summary import print_summary
from service.local.deliver import RESULT, deliver
from service.local.driver import Driver, Limits
from service.local.inputs import LocalProblem, open_problem, preflight
from service.local.store import RunStore
from search.errors import SearchError, UsageError


def search(
    model: Annotated[str | None, typer.Argument(help="ONNX file; or given in --spec.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output directory: empty, new, or an earlier run to go on with.")] = None,
    calibration: Annotated[str | None, typer.Option(help=".npz, directory, or 'random'.")] = None,
    evaluation: Annotated[str | None, typer.Option(help=".npz or directory, with labels where the metric needs them.")] = None,
    confirmation: Annotated[str | None, typer.Option(help="Data the search never sees; evaluated once at the end.")] = None,
    target: Annotated[str | None, typer.Option(help="Chip: see 'bitbudget targets'; or a TOML file.")] = None,
    toolchain: Annotated[str | None, typer.Option(help="Version of the vendor's tools, such as 3.2.0.")] = None,
    metric: Annotated[str | None, typer.Option(help="One metric, NAME or NAME@OUTPUT.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Score may fall this far below float.")] = None,
    min_value: Annotated[float | None, typer.Option(help="Score must reach this value.")] = None,
    min_ratio: Annotated[float | None, typer.Option(help="Share of the float value to keep.")] = None,
    max_increase: Annotated[float | None, typer.Option(help="Error may rise this far above float.")] = None,
    max_value: Annotated[float | None, typer.Option(help="Error must stay below this value.")] = None,
    goal: Annotated[list[str] | None, typer.Option(help="'top1@logits,labels=labels,max-drop=0.01'; repeatable.")] = None,
    strategy: Annotated[str | None, typer.Option(help="ladder.")] = None,
    evaluator: Annotated[str | None, typer.Option(help="fake_quant.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Level of the one-sided bound that must reach the goal.")] = None,
    max_evaluations: Annotated[int | None, typer.Option(help="Stop after this many trials.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sample order.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads inside operators.")] = None,
    overrides: Annotated[str | None, typer.Option(help="Tensor overrides (JSON) to keep as pins.")] = None,
    spec: Annotated[Path | None, typer.Option(help="Job spec (YAML or JSON); flags win over it.")] = None,
    reuse: Annotated[Path | None, typer.Option(help="Another run whose results are taken over.")] = None,
    force: Annotated[bool, typer.Option(help="Start over: forget an earlier run in --out and delete what it delivered.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Find the cheapest assignment that meets the goal, and write it with its evidence."""
    flags = {
        name: value
        for name, value in locals().items()
        if name not in ("spec", "out", "reuse", "force", "as_json") and value is not None
    }
    if out is None:
        raise UsageError("No output directory. Give --out DIR.")
    code = run_search(flags, out=out, spec=spec, reuse=reuse, force=force, as_json=as_json)
    raise typer.Exit(code)


def run_search(
    flags: Mapping[str, Any], *, out: Path, spec: Path | None, reuse: Path | None, force: bool, as_json: bool
) -> int:
    """Run and return the exit code."""
    local = _open(flags, spec)
    store = RunStore(out)
    fresh = not out.exists()
    store.open(local.identity, force=force)
    try:
        preflight(local)
        code = _run(local, store, reuse, as_json=as_json)
    except SearchError:
        store.discard_if_empty(fresh=fresh)
        raise
    return code


def _open(flags: Mapping[str, Any], spec: Path | None) -> LocalProblem:
    values: dict[str, Any] = {"schema": "bitbudget.job/1"}
    base = Path()
    if spec is not None:
        try:
            values = read_spec(spec.read_text(), where=str(spec))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The spec {str(spec)!r} cannot be read: {error}.") from None
        base = spec.parent
    merged = merge_flags(values, flags)
    job = build_job(merged)
    check_available(job)
    from_flags = frozenset(name for name in ("model", "calibration", "evaluation", "confirmation", "overrides") if name in flags)
    return open_problem(job, base=base, absolute=from_flags)


def _run(local: LocalProblem, store: RunStore, reuse: Path | None, *, as_json: bool) -> int:
    other = None
    if reuse is not None:
        other = RunStore(reuse)
        other.read()
    search_spec = local.problem.spec.search
    limits = Limits(max_seconds=search_spec.max_seconds, max_evaluations=search_spec.max_evaluations)
    with watcher(local.problem, quiet=as_json) as watch:
        outcome = Driver(local, store, limits, other, watch).run()
        measured = Measured(seconds=outcome.seconds, stopped=outcome.stopped)
        files = compose(local.problem, outcome.finished, measured, store.get)
        deliver(store.out, files)
    result = json.loads(files[RESULT])
    if as_json:
        typer.echo(files[RESULT].decode(), nl=False)
    else:
        print_summary(result, store.out)
    return exit_of_result(result["outcome"], result["stopped"])
