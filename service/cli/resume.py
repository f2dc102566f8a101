"""``bitbudget resume``: let a paused study go on."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.study_lines import study_lines


def resume(
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Put a paused study in line again."""
    with connect(url, api_key_file) as client:
        found = client.studies.resume(study)
    typer.echo(json.dumps(dict(found.raw), indent=1) if as_json else "\n".join(study_lines(found.raw)))
