"""Options of the commands that run on the machine of the service, and opening what they name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from search.errors import UsageError
from service.db.engine import Database, connect
from service.db.errors import DatabaseError
from service.settings import Settings, SettingsError

DataDirOption: TypeAlias = Annotated[
    Path | None, typer.Option("--data-dir", help="Blobs, scratch and the SQLite file; BITBUDGET_DATA_DIR.")
]
DatabaseOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--database-url", help="sqlite:///file or postgresql://user@host/name; BITBUDGET_DATABASE_URL."),
]


def read_settings(**overrides: Any) -> Settings:
    """Return the settings of the environment with options laid over them.

    Raises:
        UsageError: If one is unknown or cannot be used.
    """
    try:
        return Settings.from_env(**overrides)
    except SettingsError as error:
        raise UsageError(str(error)) from None


def open_database(settings: Settings) -> Database:
    """Return the database; nothing is asked of it yet.

    Raises:
        UsageError: If the URL cannot be used.
    """
    try:
        return connect(settings.database, pool_size=settings.database_pool)
    except (DatabaseError, OSError) as error:
        raise UsageError(f"The database cannot be used: {error}") from None
