"""``bitbudget tenants``: their weight and limits, in the database of the server's machine: the operator's business."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Annotated, Any

import typer

from search.errors import UsageError
from search.records.document import to_json
from service.cli.installation import DatabaseOption, DataDirOption, database_errors, open_database, read_settings
from service.store.db.migrate import prepare
from service.usecases.accounts.tenants import change_limits, tenants_of

ACTOR = "command line"
app = typer.Typer(help="Show tenants, and set their weight and limits.", no_args_is_help=True)
LIMITS = ("weight", "max_running", "max_queued", "day_seconds")


@app.command(name="list")
def list_(
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List all tenants with what they use and what they may."""
    settings = read_settings(data_dir=data_dir, database_url=database_url)
    database = open_database(settings)
    with closing(database), database_errors(settings):
        prepare(database)
        with database.reading() as connection:
            found = tenants_of(connection, settings)
    shown: list[dict[str, Any]] = to_json(found)
    typer.echo(json.dumps(shown, indent=1) if as_json else "\n".join(map(_line, shown)) or "no tenants")


@app.command(name="set")
def set_(  # noqa: PLR0917  one parameter per option
    name: Annotated[str, typer.Argument(help="Which tenant; made if it is not there.")],
    weight: Annotated[float | None, typer.Option(min=0.001, max=1000, help="Share of all starts.")] = None,
    max_running: Annotated[int | None, typer.Option(min=1, help="Studies that run at once.")] = None,
    max_queued: Annotated[int | None, typer.Option(min=1, help="Studies that have not ended.")] = None,
    day_seconds: Annotated[float | None, typer.Option(min=1, help="Evaluator seconds in a day (UTC).")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="First go back to the settings' defaults.")] = False,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Set what is given, keep the rest."""
    given = dict(zip(LIMITS, (weight, max_running, max_queued, day_seconds), strict=True))
    changes = {key: value for key, value in given.items() if reset or value is not None}
    if not changes:
        raise UsageError(
            "Nothing is given to set. Give --weight, --max-running, --max-queued, --day-seconds or --reset."
        )
    settings = read_settings(data_dir=data_dir, database_url=database_url)
    database = open_database(settings)
    with closing(database), database_errors(settings):
        prepare(database)
        with database.writing() as connection:
            change_limits(connection, name, changes, actor=ACTOR)
    typer.echo(
        f"{name}: " + ", ".join(f"{key} {'default' if value is None else value}" for key, value in changes.items())
    )


def _line(shown: dict[str, Any]) -> str:
    def of(used: str, most: str) -> str:
        return f"{shown[used]:g}" + ("" if shown[most] is None else f" of {shown[most]:g}")

    return (
        f"{shown['name']!s:<20}  weight {shown['weight']:g}  running {of('running', 'max_running')}  "
        f"waiting {of('waiting', 'max_queued')}  seconds today {of('used_seconds_today', 'day_seconds')}"
    )
