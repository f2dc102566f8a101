"""``bitbudget search``: the whole pipeline on this machine, without a server."""

from __future__ import annotations

import gc
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from search.errors import UsageError
from search.spec.flags import SPEC_FLAGS
from service.cli.exits import exit_of_result
from service.cli.progress import watcher
from service.cli.request import Request, read_job
from service.cli.summary import print_summary


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
    shape: Annotated[
        list[str] | None,
        typer.Option(help="NAME=1x3x640x640: sizes of an input that leaves them open; repeatable."),
    ] = None,
    allow_float: Annotated[
        bool | None,
        typer.Option("--allow-float", help="Accept a network of which nothing can be quantized as an answer."),
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict", help="Refuse what cannot be meant (exit 4) instead of reporting it."),
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="auto | ladder | optuna | exhaustive.")] = None,
    evaluator: Annotated[str | None, typer.Option(help="fake_quant.")] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Level of the one-sided bound that must reach the goal.")
    ] = None,
    max_evaluations: Annotated[int | None, typer.Option(help="Stop after this many trials.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--measure/--no-measure",
            help="Time what meets the goals on this machine and deliver the fastest; default where the target is "
            "this runtime (ort-cpu).",
        ),
    ] = None,
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
    trust_python: Annotated[
        bool, typer.Option("--trust-python", help="Run a metric 'python:module:name': its code gets all your rights.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Find the cheapest assignment that meets the goal, and write it with its evidence."""
    if out is None:
        raise UsageError("No output directory. Give --out DIR.")
    # every option that shapes the spec is read from the context by its name, the others below
    flags = {name: context.params[name] for name in SPEC_FLAGS if context.params[name] is not None}
    request = Request(flags=flags, spec=spec, trusts_python=trust_python)
    if trust_python:
        sys.path.append(str(Path.cwd()))  # where a metric of one's own lies, behind everything that is installed
    job = read_job(request)
    with watcher() as watch:
        from service.local.local_run import LocalRun, run_job  # noqa: PLC0415  the first line is out before it is loaded

        gc.freeze()  # what is loaded stays: the collector need not look through the libraries again and again
        run = LocalRun(
            job=job,
            out=out,
            base=request.base,
            absolute=request.absolute,
            reuse=reuse,
            force=force,
            export_calibration=export_calibration,
            dump_layers=dump_layers,
            trusts_python=trust_python,
            processes=jobs,
            command=shlex.join(["bitbudget", *sys.argv[1:]]),
        )
        result = run_job(run, watch)
    if as_json:
        typer.echo((out / "result.json").read_text(), nl=False)
    else:
        print_summary(result, out)
    raise typer.Exit(exit_of_result(result.outcome, result.stopped))
