"""The commands by name; each lies in a module of its name, which is loaded once the command is asked for.

Here are those that work without workers on this machine; what stands above adds its own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, cast

import typer

from search.errors import UsageError
from search.optional import missing_extra

HELP = "Find the cheapest int8/int16/fp16 assignment of an ONNX network that meets its accuracy goal."
SERVICE_LIBRARIES = frozenset(
    {"alembic", "dbos", "fastapi", "h11", "prometheus_client", "psycopg", "sqlalchemy", "uvicorn"}
)


@dataclass(frozen=True)
class Line:
    """A command in the list of all.

    Attributes:
        summary: The first line of its help; a test compares it with the command.
        is_group: Whether it has commands of its own.
        package: Where its module lies.
        needs_linux: Whether it starts workers or a server.
    """

    summary: str
    is_group: bool = False
    package: str = __package__
    needs_linux: bool = False


COMMANDS: Mapping[str, Line] = {
    "search": Line("Find the cheapest assignment that meets the goal, and write it with its evidence."),
    "check": Line("Read a model and show its groups, its findings and what the chip allows."),
    "export": Line("Deliver a trial of a search that has ended, with the same re-check; nothing is measured twice."),
    "targets": Line("List the targets, one line each."),
    "calibrate-cost": Line("Fit the cost model of a target to measured times, and say how wrong it is."),
    "measure-cost": Line("Time assignments of models on this machine, for 'bitbudget calibrate-cost'."),
    "submit": Line("Submit a study to a server: the same job as 'search', the inputs are uploaded."),
    "status": Line("Show a study, or the newest ones."),
    "follow": Line("Show what happens to a study, as it happens; the exit code is that of the study."),
    "change": Line("Rename a study, or give one that has not ended another priority."),
    "pause": Line("Stop a study until it is resumed; nothing that was finished is lost."),
    "resume": Line("Put a paused study in line again."),
    "cancel": Line("Cancel a study that has not ended; one that runs delivers the best it has found before."),
    "delete": Line("Delete a study that has ended, with its files; one that goes on is cancelled instead, and stays."),
    "artifacts": Line("List the files that a study delivered, with their sizes."),
    "download": Line("Download files; every one is checked against its SHA-256, those that are there already stay."),
    "keys": Line("Make, list and revoke API keys.", is_group=True),
    "tenants": Line("Show tenants, and set their weight and limits.", is_group=True),
}


def application(commands: Mapping[str, Line] = COMMANDS) -> typer.Typer:
    """Return the command line with these commands, loaded.

    Raises:
        UsageError: If a command needs a library that is not installed, or another system.
    """
    made = _empty()
    for name, line in commands.items():
        if line.is_group:
            made.add_typer(cast("typer.Typer", _loaded(line, name, "app")), name=name)
        else:
            made.command(name=name)(cast("Callable[..., None]", _loaded(line, name, name.replace("-", "_"))))
    return made


def overview(commands: Mapping[str, Line] = COMMANDS) -> typer.Typer:
    """Return the command line as its help shows it: all names, none loaded."""
    made = _empty()
    for name, line in commands.items():
        made.command(name=name, help=line.summary)(lambda: None)
    return made


def _empty() -> typer.Typer:
    made = typer.Typer(
        name="bitbudget",
        help=HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    made.callback()(_options)
    return made


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"bitbudget {version('bitbudget')}")
        raise typer.Exit


def _options(
    shows_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    del shows_version


def _loaded(line: Line, command: str, name: str) -> object:
    if line.needs_linux and sys.platform != "linux":
        raise UsageError(
            f"'bitbudget {command}' needs Linux, whose kernel limits evaluators; this is {sys.platform}. Here work "
            "'bitbudget search', 'check' and the commands that ask a server."
        )
    module = f"{line.package}.{command.replace('-', '_')}"
    try:
        found: object = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in SERVICE_LIBRARIES:
            raise
        raise UsageError(
            f"'bitbudget {command}' belongs to the service: {missing_extra(str(error.name), 'service')}"
        ) from None
    return found
