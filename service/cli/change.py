"""``bitbudget change``: name and priority of a study on a server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from search.errors import UsageError
from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.study_lines import study_lines
from service.client.studies import UNCHANGED


def change(  # noqa: PLR0917  one parameter per option
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    name: Annotated[str | None, typer.Option(help="What to call it; an empty text takes its name away.")] = None,
    priority: Annotated[int | None, typer.Option(help="Among the tenant's own studies; larger is sooner.")] = None,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Rename a study, or give one that has not ended another priority."""
    if name is None and priority is None:
        raise UsageError("Nothing to change: give --name or --priority.")
    with connect(url, api_key_file) as client:
        found = client.studies.change(
            study,
            name=UNCHANGED if name is None else name or None,
            priority=UNCHANGED if priority is None else priority,
        )
    typer.echo(json.dumps(dict(found.raw), indent=1) if as_json else "\n".join(study_lines(found.raw)))
