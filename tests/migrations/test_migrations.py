"""Migrations on both databases: up, down, no drift, a wrong schema refused, a copy before an upgrade."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from search.records.trial import Role
from service.store.db import keys, migrate, tenants, trials
from service.store.db.engine import Database, connect
from service.store.db.errors import DatabaseError, WrongSchemaError
from service.store.db.migrate import (
    VERSION_TABLE,
    SchemaState,
    back_up,
    check_drift,
    check_schema,
    downgrade,
    head,
    prepare,
    schema_state,
    upgrade,
)
from service.store.db.schema import metadata
from tests.service.store.db.rows import study, tenant


def tables(database: Database) -> set[str]:
    return set(sa.inspect(database.engine).get_table_names())


def set_revision(database: Database, revision: str) -> None:
    with database.writing() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = :found"), {"found": revision})


def test_up_makes_exactly_the_tables_of_the_program_and_down_leaves_none(empty_database: Database) -> None:
    assert schema_state(empty_database) is SchemaState.EMPTY
    assert upgrade(empty_database) is None
    assert schema_state(empty_database) is SchemaState.CURRENT
    check_drift(empty_database)
    assert tables(empty_database) == {*metadata.tables, VERSION_TABLE}
    assert upgrade(empty_database) is None
    downgrade(empty_database, "base")
    assert tables(empty_database) == {VERSION_TABLE}
    assert schema_state(empty_database) is SchemaState.EMPTY
    upgrade(empty_database)
    check_drift(empty_database)


def test_every_constraint_has_the_name_the_program_gives_it(database: Database) -> None:
    """Otherwise a later migration could not name what it changes."""
    found = sa.inspect(database.engine)
    for table in metadata.sorted_tables:
        kinds = (found.get_foreign_keys, found.get_unique_constraints, found.get_check_constraints, found.get_indexes)
        several = [one for kind in kinds for one in kind(table.name)]
        names = {one["name"] for one in (found.get_pk_constraint(table.name), *several)}
        expected = {one.name for one in (*table.constraints, *table.indexes)}
        if database.is_sqlite and table.dialect_options["sqlite"]["autoincrement"]:
            names, expected = names - {None}, expected - {table.primary_key.name}  # written behind the column there
        assert names == expected, table.name


def test_drift_is_noticed(empty_database: Database) -> None:
    upgrade(empty_database)
    with empty_database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE tenants ADD COLUMN colour TEXT"))
    with pytest.raises(Exception, match="colour"):
        check_drift(empty_database)


def test_tables_of_others_in_the_same_database_are_left_alone(empty_database: Database) -> None:
    with empty_database.writing() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('optuna')"))
        connection.execute(sa.text("CREATE TABLE workflow_status (workflow_uuid TEXT)"))
    upgrade(empty_database)
    check_drift(empty_database)
    downgrade(empty_database, "base")
    assert tables(empty_database) == {"alembic_version", "workflow_status", VERSION_TABLE}
    with empty_database.reading() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "optuna"


def test_a_new_sqlite_file_migrates_itself_and_postgresql_asks_for_it(empty_database: Database) -> None:
    if empty_database.is_sqlite:
        prepare(empty_database)
        prepare(empty_database)
        return
    with pytest.raises(WrongSchemaError, match="has no tables yet"):
        prepare(empty_database)
    assert tables(empty_database) == set()
    upgrade(empty_database)
    prepare(empty_database)


def test_a_newer_schema_is_refused_and_left_as_it_is(empty_database: Database) -> None:
    upgrade(empty_database)
    set_revision(empty_database, "9999")
    for use in (prepare, check_schema, upgrade):
        with pytest.raises(
            WrongSchemaError, match=rf"revision 9999, which this program does not know \(it knows {head()}\)"
        ):
            use(empty_database)
    assert schema_state(empty_database) is SchemaState.UNKNOWN


BEFORE = head()
LATER = "9000"
SECOND = f'''
"""A later revision."""
import sqlalchemy as sa
from alembic import op
revision = "{LATER}"
down_revision = "{BEFORE}"

def upgrade():
    with op.batch_alter_table("tenants") as batch:
        batch.add_column(sa.Column("colour", sa.Text(), nullable=True))
        batch.create_unique_constraint("uq_tenants_colour", ["colour"])

def downgrade():
    with op.batch_alter_table("tenants") as batch:
        batch.drop_constraint("uq_tenants_colour", type_="unique")
        batch.drop_column("colour")
'''
BROKEN = SECOND.replace("def downgrade", "    op.execute('DELETE FROM nowhere')\n\ndef downgrade")


def later_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, second: str) -> None:
    """Let the program have one more revision."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    for path in migrate.FOLDER.glob("*.*"):
        (folder / path.name).write_text(path.read_text())
    for path in migrate.FOLDER.glob("versions/*.py"):
        (folder / "versions" / path.name).write_text(path.read_text())
    (folder / "versions" / f"{LATER}_colour.py").write_text(second)
    monkeypatch.setattr(migrate, "FOLDER", folder)


def test_an_older_schema_is_refused_then_upgraded_with_its_rows_and_back(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upgrade(empty_database)
    with empty_database.writing() as connection:
        mine = study(connection, tenant(connection))
    later_program(monkeypatch, tmp_path, SECOND)
    with pytest.raises(
        WrongSchemaError, match=rf"revision {BEFORE}, this program needs {LATER}. Make a backup, stop every"
    ):
        prepare(empty_database)
    copies = [upgrade(empty_database), downgrade(empty_database, BEFORE), upgrade(empty_database)]
    assert schema_state(empty_database) is SchemaState.CURRENT
    with empty_database.writing() as connection:
        (found,) = tenants.listing(connection)
        assert found.id == mine.tenant_id
        assert study(connection, found.id).tenant_id == found.id
    if not empty_database.is_sqlite:
        assert copies == [None] * 3
        return
    assert [path.name for path in copies if path is not None] == [
        f"bitbudget.sqlite.{BEFORE}.backup",
        f"bitbudget.sqlite.{LATER}.backup",
        f"bitbudget.sqlite.{BEFORE}.2.backup",
    ]
    assert copies[0] is not None
    old = sqlite3.connect(copies[0])
    assert old.execute("SELECT id FROM studies").fetchall() == [(mine.id,)]
    assert old.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(BEFORE,)]
    assert old.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    old.close()


def test_a_migration_that_fails_changes_nothing(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upgrade(empty_database)
    with empty_database.writing() as connection:
        study(connection, tenant(connection))
    later_program(monkeypatch, tmp_path, BROKEN)
    with pytest.raises(sa.exc.DBAPIError, match="nowhere"):
        upgrade(empty_database)
    assert schema_state(empty_database) is SchemaState.OLDER
    assert "colour" not in {column["name"] for column in sa.inspect(empty_database.engine).get_columns("tenants")}
    with empty_database.reading() as connection:
        assert len(tenants.listing(connection)) == 1


def test_processes_that_start_at_once_migrate_once(empty_database: Database) -> None:
    errors: list[BaseException] = []

    def start() -> None:
        database = connect(empty_database.url.render_as_string(hide_password=False))
        try:
            upgrade(database)
            check_schema(database)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    check_drift(empty_database)


def test_a_backup_never_overwrites_and_is_for_files_only(database: Database, tmp_path: Path) -> None:
    if not database.is_sqlite:
        with pytest.raises(DatabaseError, match="Back up PostgreSQL with pg_dump"):
            back_up(database, tmp_path / "copy")
        return
    with database.writing() as connection:
        tenant(connection)
    back_up(database, tmp_path / "copy")
    restored = connect(f"sqlite:///{tmp_path}/copy")
    prepare(restored)
    with restored.reading() as connection:
        assert len(tenants.listing(connection)) == 1
    restored.close()
    with pytest.raises(DatabaseError, match="exists already"):
        back_up(database, tmp_path / "copy")


def test_values_of_stopped_trials_from_before_go_those_of_complete_ones_stay(
    empty_database: Database,
) -> None:
    upgrade(empty_database)
    with empty_database.writing() as connection:
        mine = study(connection, tenant(connection))
    downgrade(empty_database, "0001")
    with empty_database.writing() as connection:
        columns = 'study_id, no, tenant_id, digest, stage, verdict, cost, "values", n_run, seconds, why, created'
        for no, verdict in enumerate(("met", "rejected", "promising"), start=1):
            connection.execute(
                sa.text(
                    f"INSERT INTO trials ({columns}) VALUES (:study, :no, :tenant, :digest, '', :verdict, 1.0, "
                    "'{\"top1@a\": 0.9}', 10, 1.0, '', CURRENT_TIMESTAMP)"
                ),
                {"study": mine.id, "no": no, "tenant": mine.tenant_id, "digest": "0" * 64, "verdict": verdict},
            )
    upgrade(empty_database)
    with empty_database.reading() as connection:
        rows = trials.page(connection, mine.tenant_id, mine.id).rows
    assert [row.record.seen for row in rows] == [{"top1@a": 0.9}, {}, {}]
    assert {row.record.role for row in rows} == {Role.CANDIDATE}


def test_administrators_of_the_first_tenant_are_operators_after_it_and_no_others(empty_database: Database) -> None:
    upgrade(empty_database)
    with empty_database.writing() as connection:
        for name, scopes in (("default", ["admin"]), ("default", ["read"]), ("other", ["admin"])):
            owner = tenants.ensure(connection, name)
            label = f"{name} {scopes[0]}"
            keys.add(connection, tenant_id=owner.id, prefix=label, secret_sha256="0" * 64, name=label, scopes=scopes)
    downgrade(empty_database, "0003")
    upgrade(empty_database)
    with empty_database.reading() as connection:
        found = {one.name: set(one.scopes) for one in keys.page(connection).rows}
    assert found == {"default admin": {"admin", "operator"}, "default read": {"read"}, "other admin": {"admin"}}
    downgrade(empty_database, "0003")
    upgrade(empty_database)
