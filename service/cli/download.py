"""``bitbudget download``: the files that a study on a server delivered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from search.errors import UsageError
from service.cli.connection import KeyFileOption, UrlOption, connect


def download(  # noqa: PLR0917  one parameter per option
    study: Annotated[str, typer.Argument(help="Id of the study.")],
    output: Annotated[Path, typer.Option(help="Directory to write to; made if it is not there.")],
    file: Annotated[list[str] | None, typer.Option(help="Only this file, as result.json; repeatable.")] = None,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Download files; every one is checked against its SHA-256, those that are there already stay."""
    with connect(url, api_key_file) as client:
        try:
            written = client.studies.download(study, output, names=file or ())
        except OSError as error:
            raise UsageError(f"--output {str(output)!r} cannot be written: {error.strerror}.") from None
    names = [str(path) for path in written]
    typer.echo(json.dumps({"files": names}, indent=1) if as_json else "\n".join(names) or "no files")
