"""``bitbudget migrate``: bring the database to what this version needs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from search.errors import UsageError
from service.cli.installation import DatabaseOption, DataDirOption, database_errors, open_database, read_settings
from service.store.db.migrate import SchemaState, back_up, head, schema_state, upgrade
from workers import durable


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 2 if there is something to do.")] = False,
    backup: Annotated[Path | None, typer.Option(help="Only copy the SQLite database to this new file.")] = None,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Make or update the tables; safe to repeat. SQLite files are copied before a change."""
    settings = read_settings(data_dir=data_dir, database_url=database_url)
    database = open_database(settings)
    with closing(database), database_errors(settings):
        if backup is not None:
            back_up(database, backup)
            typer.echo(f"copied to {backup}")
            return
        if check:
            state = schema_state(database)
            if state is not SchemaState.CURRENT:
                raise UsageError(f"The tables are {state.value}, this version needs {head()}. Run 'bitbudget migrate'.")
            typer.echo(f"the tables are at {head()}")
            return
        copy = upgrade(database)
        durable.migrate(settings)
    typer.echo(f"the tables are at {head()}" + ("" if copy is None else f"; the old database is {copy}"))
