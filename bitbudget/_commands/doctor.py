"""``bitbudget doctor``: whether the service can work here, and what to do if not."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from bitbudget._commands.checks import Found, Level, check_installation, check_server
from service.cli.connection import DEFAULT_URL, KeyFileOption, UrlOption, connect
from service.cli.exits import Exit
from service.cli.installation import DatabaseOption, DataDirOption, read_settings
from service.client.retries import NO_RETRIES


def doctor(
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Check this machine's installation; with --url or BITBUDGET_URL also that server. Exit 2 if something is bad."""
    found = list(check_installation(read_settings(data_dir=data_dir, database_url=database_url)))
    address = url or os.environ.get("BITBUDGET_URL")
    if address:
        with connect(address, api_key_file, retries=NO_RETRIES) as client:
            found += check_server(client, address or DEFAULT_URL)
    if as_json:
        shown = [
            {"name": one.name, "level": one.level.value, "text": one.text, "remedy": one.remedy or None}
            for one in found
        ]
        typer.echo(json.dumps({"checks": shown}, indent=1))
    else:
        typer.echo("\n".join(_line(one) for one in found))
    is_bad = any(one.level is Level.BAD for one in found)
    raise typer.Exit(Exit.USAGE if is_bad else Exit.MET)


def _line(found: Found) -> str:
    remedy = f"\n{'':16}-> {found.remedy}" if found.remedy else ""
    return f"{found.level.value:<5} {found.name:<9} {found.text}{remedy}"
