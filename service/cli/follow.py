"""``bitbudget follow``: the events of a study on a server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.exits import exit_of_study
from service.cli.study_lines import study_lines, watcher
from service.contract import Event


def follow(  # noqa: PLR0917  one parameter per option
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    timeout: Annotated[float | None, typer.Option(min=0, help="Longest wait in seconds; then exit 124.")] = None,
    max_outage: Annotated[float, typer.Option(min=0, help="Seconds the server may be away at once.")] = 600.0,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document per event on stdout.")] = False,
) -> None:
    """Show what happens to a study, as it happens; the exit code is that of the study."""
    with connect(url, api_key_file) as client:
        if as_json:
            found = client.studies.wait(study, timeout_s=timeout, max_outage_s=max_outage, watch=_print)
        else:
            with watcher() as watch:
                found = client.studies.wait(study, timeout_s=timeout, max_outage_s=max_outage, watch=watch)
            typer.echo("\n".join(study_lines(found.raw)))
    raise typer.Exit(exit_of_study(found))


def _print(event: Event) -> None:
    typer.echo(json.dumps({"id": event.id, "kind": event.kind, "data": event.data}))
