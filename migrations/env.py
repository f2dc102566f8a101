"""How alembic reaches the database: on the connection of ``service.store.db.migrate``, or by the settings."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.engine import Connection

from service.store.db.columns import UtcTime
from service.store.db.engine import connect, without_pool
from service.store.db.schema import metadata
from service.store.settings import Settings

VERSION_TABLE = "bitbudget_version"  # Optuna and others use alembic's default name in the same database


def is_ours(thing: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Whether alembic looks at it; tables of others in the same database are none of our business."""
    del thing, compare_to
    return kind != "table" or not reflected or name in metadata.tables


def plain_type(kind: str, thing: Any, _: Any) -> str | Literal[False]:
    """Write types of this program as what they are in the database: a revision must never change with the program."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(thing, UtcTime) else False


def migrate(connection: Connection) -> None:
    """Run what was asked for in one transaction; SQLite, too, can take table changes back."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        version_table_pk=True,
        include_object=is_ours,
        compare_type=True,
        render_item=plain_type,
        render_as_batch=True,  # SQLite alters a table by copying it
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Use the connection that was given, else open one."""
    given = context.config.attributes.get("connection")
    if given is not None:
        migrate(given)
        return
    engine = without_pool(connect(Settings.from_env().database))
    with engine.begin() as connection:
        migrate(connection)


main()
