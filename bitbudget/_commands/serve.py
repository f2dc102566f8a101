"""``bitbudget serve``: the server and, as its children, its workers: on a laptop nothing else is needed."""

from __future__ import annotations

import logging
import socket
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from bitbudget._commands.embedded import EmbeddedWorkers
from search.errors import UsageError
from service.app import create_app
from service.cli.installation import DatabaseOption, DataDirOption, database_errors, open_database, read_settings
from service.http.gate import is_loopback
from service.http.protocol import HttpProtocol
from service.log_lines import begin_log
from service.store.db.engine import Database
from service.store.db.migrate import prepare
from service.store.settings import Settings, SettingsError
from service.usecases.accounts.keys import first_admin_key
from workers import durable
from workers.engine import DbosEngine
from workers.evaluator.guard import hide

GRACE_S = 5
"""Seconds that open requests have when the server stops; event streams go on at the next server."""
BACKLOG = 512


def serve(  # noqa: PLR0917  one parameter per option
    host: Annotated[str | None, typer.Option(help="Address to listen on; BITBUDGET_HOST, else 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="TCP port, 0 any free one; BITBUDGET_PORT, else 8000.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Worker processes; 0 where others run them.")] = 1,
    slots: Annotated[int | None, typer.Option(min=1, help="Evaluations at once in each of them.")] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Everybody on this machine is administrator; on loopback only.")
    ] = False,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Serve the REST interface, with workers; SIGTERM finishes the items at hand and leaves."""
    hide()
    settings = read_settings(host=host, port=port, slots=slots, data_dir=data_dir, database_url=database_url)
    begin_log(settings.log_format, settings.log_level)
    if no_auth and not is_loopback(settings.host):
        raise UsageError(f"--no-auth is for 127.0.0.1 and ::1 only, not for {settings.host!r}. Leave it away.")
    database = open_database(settings)
    try:
        _prepare(database, settings)
        run_server(settings, database, n_workers=workers, authenticate=not no_auth)
    finally:
        database.close()


def _prepare(database: Database, settings: Settings) -> None:
    with database_errors(settings):
        prepare(database)
        if database.is_sqlite:
            durable.migrate(settings)


def run_server(settings: Settings, database: Database, *, n_workers: int, authenticate: bool) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UsageError: If the address cannot be listened on.
    """
    listening = _listen(settings)
    engine = DbosEngine(settings)
    try:
        app = create_app(settings, engine, database=database, authenticate=authenticate)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    embedded = EmbeddedWorkers(settings, database, n_workers)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=HttpProtocol,
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config, embedded)
    _introduce(settings, database, listening, authenticate=authenticate)
    embedded.start()
    try:
        server.run(sockets=[listening])
    finally:
        embedded.stop()
        engine.close()


class _Server(uvicorn.Server):
    """Passes the wish to stop on to the workers at once."""

    def __init__(self, config: uvicorn.Config, embedded: EmbeddedWorkers) -> None:
        super().__init__(config)
        self._embedded = embedded

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        self._embedded.ask_to_stop()
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # stopping on demand is a success: the signal is not raised again at the end


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}. Choose another --host or --port."
        ) from None


def _introduce(settings: Settings, database: Database, listening: socket.socket, *, authenticate: bool) -> None:
    """Say where the server is; on the first start also the key."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    key = first_admin_key(database) if authenticate else None
    if key is not None:
        typer.echo(f"administrator's key, shown only now: {key}")
    if not is_loopback(settings.host):
        logging.getLogger(__name__).warning(
            "listening on %s without TLS: put a proxy with TLS in front of it", settings.host
        )
    typer.echo(f"bitbudget serves http://{host}:{listening.getsockname()[1]}")
