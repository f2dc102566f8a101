"""``bitbudget artifacts``: which files a study on a server delivered."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.connection import KeyFileOption, UrlOption, connect


def artifacts(
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List the files that a study delivered, with their sizes."""
    with connect(url, api_key_file) as client:
        found = client.studies.artifacts(study)
    if as_json:
        typer.echo(json.dumps({"items": [dict(one.raw) for one in found]}, indent=1))
    else:
        typer.echo("\n".join(f"{one.size:>12} {one.digest[:12]} {one.name}" for one in found) or "no files")
