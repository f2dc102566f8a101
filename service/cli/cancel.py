"""``bitbudget cancel``: end a study on a server early."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.study_lines import study_lines


def cancel(
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Cancel a study that has not ended; one that runs delivers the best it has found before."""
    with connect(url, api_key_file) as client:
        found = client.studies.cancel(study)
    typer.echo(json.dumps(dict(found.raw), indent=1) if as_json else "\n".join(study_lines(found.raw)))
