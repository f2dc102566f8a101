"""Options of the commands that run on the machine of the service, and opening what they name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from search.errors import UsageError
from service.cli.exits import DatabaseAwayError
from service.store.db.away import is_away
from service.store.db.engine import Database, connect
from service.store.db.errors import DatabaseError
from service.store.settings import Settings, SettingsError

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


@contextmanager
def database_errors(settings: Settings) -> Iterator[None]:
    """Explain what the database refuses inside the block.

    Raises:
        DatabaseAwayError: If it does not answer; later it may.
        UsageError: If it cannot be used as it is.
    """
    try:
        yield
    except DatabaseError as error:
        raise UsageError(str(error)) from None
    except (DBAPIError, PoolTimeoutError) as error:
        place = make_url(settings.database).render_as_string(hide_password=True)
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        if is_away(error):
            raise DatabaseAwayError(f"The database {place} does not answer: {reason}. Is it running?") from None
        raise UsageError(f"The database {place} cannot be used: {reason}.") from None
