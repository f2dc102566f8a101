"""``bitbudget keys``: API keys, over REST or, on the server's machine, in its database."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, get_args

import typer
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection

from search.errors import UsageError
from service.cli.connection import KeyFileOption, UrlOption, connect
from service.cli.installation import DatabaseOption, DataDirOption, database_errors, open_database, read_settings
from service.client.errors import NotFoundError
from service.contract import Scope
from service.store.db import audit, tenants
from service.store.db import keys as rows
from service.store.db.migrate import prepare
from service.usecases.accounts.keys import make_key
from service.usecases.accounts.principal import LOCAL_TENANT

ACTOR = "command line"
LocalOption = Annotated[
    bool, typer.Option("--local", help="Work on the database of this machine; needs no key. --tenant, --data-dir.")
]
TenantOption = Annotated[str, typer.Option(help="With --local: whose keys; made if it is not there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(  # noqa: PLR0917  one parameter per option
    name: Annotated[str, typer.Argument(help="What to call it.")],
    scope: Annotated[list[str], typer.Option(help="read, submit, admin, metrics or operator; repeatable.")],
    days: Annotated[float | None, typer.Option(min=0, max=36500, help="Ends by itself after so many days.")] = None,
    local: LocalOption = False,
    tenant: TenantOption = LOCAL_TENANT,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: it cannot be shown again."""
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    unknown = sorted(set(scope) - set(get_args(Scope)))
    if unknown:
        raise UsageError(f"There is no scope {unknown[0]!r}. Scopes are {', '.join(get_args(Scope))}.")
    scopes = TypeAdapter(list[Scope]).validate_python(scope)
    if local:

        def work(connection: Connection, tenant_id: str) -> dict[str, Any]:
            made = make_key(connection, tenant_id=tenant_id, name=name, scopes=scopes, actor=ACTOR, expires=expires)
            return {**_shown(made.key), "key": made.text}

        found = _locally(work, tenant, data_dir=data_dir, database_url=database_url)
    else:
        with connect(url, api_key_file) as client:
            found = dict(client.keys.create(name, scopes, expires=expires).raw)
    typer.echo(json.dumps(found, indent=1) if as_json else found["key"])


@app.command(name="list")
def list_(  # noqa: PLR0917  one parameter per option
    local: LocalOption = False,
    tenant: TenantOption = LOCAL_TENANT,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the keys of a tenant, newest first."""
    if local:

        def work(connection: Connection, tenant_id: str) -> list[dict[str, Any]]:
            return [_shown(one) for one in rows.page(connection, tenant_id, limit=200).rows]

        found = _locally(work, tenant, data_dir=data_dir, database_url=database_url)
    else:
        with connect(url, api_key_file) as client:
            found = [dict(one.raw) for one in client.keys.list(limit=200).items]
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(_line(one) for one in found) or "no keys")


@app.command()
def revoke(  # noqa: PLR0917  one parameter per option
    key: Annotated[str, typer.Argument(help="Id of the key, or the part of it that the list shows.")],
    local: LocalOption = False,
    tenant: TenantOption = LOCAL_TENANT,
    url: UrlOption = None,
    api_key_file: KeyFileOption = None,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """End a key and the logins made with it, at once."""
    if local:

        def work(connection: Connection, tenant_id: str) -> str:
            found = _named(key, [_shown(one) for one in rows.page(connection, tenant_id, limit=200).rows])
            if rows.revoke(connection, tenant_id, found):
                audit.add(connection, actor=ACTOR, action="key.revoke", tenant_id=tenant_id, object=key)
            return found

        _locally(work, tenant, data_dir=data_dir, database_url=database_url)
    else:
        with connect(url, api_key_file) as client:
            client.keys.revoke(_named(key, [dict(one.raw) for one in client.keys.list(limit=200).items]))
    typer.echo(f"{key} is revoked")


def _locally(work: Callable[[Connection, str], Any], tenant: str, **places: object) -> Any:
    """Do something in the database of this machine."""
    settings = read_settings(**places)
    database = open_database(settings)
    with closing(database), database_errors(settings):
        prepare(database)
        with database.writing() as connection:
            return work(connection, tenants.ensure(connection, tenant).id)


def _named(text: str, found: list[dict[str, Any]]) -> str:
    """Id of the key that the user means."""
    for one in found:
        if text in (one["id"], one["prefix"]):
            return str(one["id"])
    raise NotFoundError(404, {"detail": f"There is no key {text!r} in this tenant.", "code": "not-found"})


def _shown(key: rows.Key) -> dict[str, Any]:
    moments = {name: getattr(key, name) for name in ("created", "expires", "revoked", "last_used")}
    shown = {name: None if moment is None else moment.isoformat() for name, moment in moments.items()}
    return {"id": key.id, "prefix": key.prefix, "name": key.name, "scopes": list(key.scopes), **shown}


def _line(key: dict[str, Any]) -> str:
    state = "revoked" if key["revoked"] else f"until {key['expires']}" if key["expires"] else "live"
    return f"{key['id']}  {key['prefix']}  {'+'.join(key['scopes']):<18}  {state}  {key['name']}"
