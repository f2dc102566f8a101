"""``bitbudget status``: how studies on a server stand."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.exits import Exit, exit_of_study
from service.cli.study_lines import study_lines, watcher

SHOWN = 20


def status(  # noqa: PLR0917  one parameter per option
    study: Annotated[str | None, typer.Argument(help="Id; without one the newest studies are listed.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code is that of the study.")] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="Longest wait in seconds; then exit 124.")] = None,
    max_outage: Annotated[float, typer.Option(min=0, help="Seconds the server may be away while waiting.")] = 600.0,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Studies to list.")] = SHOWN,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show a study, or the newest ones."""
    with connect(url, api_key_file) as client:
        if study is None:
            page = client.studies.list(limit=limit)
            items = [dict(one.raw) for one in page.items]
            typer.echo(json.dumps({"items": items, "next": page.next}, indent=1) if as_json else _table(items))
            return
        if wait:
            with watcher() as watch:
                found = client.studies.wait(study, timeout_s=timeout, max_outage_s=max_outage, watch=watch)
        else:
            found = client.studies.get(study)
    typer.echo(json.dumps(dict(found.raw), indent=1) if as_json else "\n".join(study_lines(found.raw)))
    raise typer.Exit(exit_of_study(found) if wait else Exit.MET)


def _table(items: list[dict[str, object]]) -> str:
    return "\n".join(study_lines(one)[0] for one in items) or "no studies"
