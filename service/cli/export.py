"""``bitbudget export``: another trial of a search that has ended, with its files and their re-check."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli.exits import exit_of_result
from service.cli.progress import watcher
from service.cli.summary import print_summary


def export(
    directory: Annotated[Path, typer.Argument(help="Output directory of a search on this machine.")],
    trial: Annotated[
        int | None, typer.Option(help="Number of a trial that ran on every sample; default: what the search chose.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output directory; default: trial-N in the search's own.")] = None,
    trust_python: Annotated[
        bool, typer.Option("--trust-python", help="Run a metric 'python:module:name': its code gets all your rights.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Deliver a trial of a search that has ended, with the same re-check; nothing is measured twice."""
    if trust_python:
        sys.path.append(str(Path.cwd()))
    with watcher() as watch:
        from service.local.export_trial import export_trial, folder_of  # noqa: PLC0415  loads the whole search

        place = folder_of(directory, trial) if out is None else out
        command = shlex.join(["bitbudget", *sys.argv[1:]])
        result = export_trial(
            directory, trial=trial, out=place, watch=watch, trusts_python=trust_python, command=command
        )
    if as_json:
        typer.echo((place / "result.json").read_text(), nl=False)
    else:
        print_summary(result, place)
    raise typer.Exit(exit_of_result(result.outcome, result.stopped))
