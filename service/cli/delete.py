"""``bitbudget delete``: forget a study on a server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.study_lines import study_lines


def delete(
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Delete a study that has ended, with its files; one that goes on is cancelled instead, and stays."""
    with connect(url, api_key_file) as client:
        found = client.studies.delete(study)
    if found is None:
        typer.echo(json.dumps({"deleted": study}) if as_json else f"{study} is deleted")
    else:
        typer.echo(json.dumps(dict(found.raw), indent=1) if as_json else "\n".join(study_lines(found.raw)))
