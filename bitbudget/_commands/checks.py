"""What ``bitbudget doctor`` looks at: each check says how things stand and, where they are bad, what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from service.client import Client
from service.client.errors import AuthenticationError, ClientError
from service.machine import memory_bytes
from service.store.db import workers
from service.store.db.engine import Database, connect
from service.store.db.errors import DatabaseError
from service.store.db.filesystem import network_file_system
from service.store.db.migrate import SchemaState, check_schema, schema_state
from service.store.settings import GIB, Settings
from workers import durable
from workers.pool import Pool

LEAST_FREE = 2 * GIB
LEAST_FOR_MODELS = GIB // 2
"""Address space beside the libraries' that a small model with its data needs."""


class Level(Enum):
    """How things stand."""

    OK = "ok"
    NOTE = "note"  #: works; worth knowing
    BAD = "bad"  #: does not work


@dataclass(frozen=True)
class Found:
    """One answer.

    Attributes:
        name: What was looked at.
        level: How it stands.
        text: What was seen.
        remedy: What to do; empty if nothing.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""


def check_installation(settings: Settings) -> Iterator[Found]:
    """Yield what there is to say about this machine and its settings."""
    yield _python()
    yield from _places(settings)
    yield from _database(settings)
    yield _evaluator(settings)
    yield _isolation()


def check_server(client: Client, url: str) -> Iterator[Found]:
    """Yield what there is to say about a server."""
    try:
        client.server.live()
        is_ready = client.server.ready()
    except ClientError as error:
        yield Found("server", Level.BAD, str(error), f"Start it with 'bitbudget serve', or correct the address {url}.")
        return
    remedy = "" if is_ready else "Run 'bitbudget doctor' on its machine."
    yield Found("server", Level.OK if is_ready else Level.BAD, f"{url} is {'' if is_ready else 'not '}ready", remedy)
    try:
        version = client.server.version()
        yield Found("key", Level.OK, f"accepted by version {version.version}")
    except AuthenticationError:
        yield Found("key", Level.BAD, "the server does not accept it", "Set BITBUDGET_API_KEY to a live key.")
    except ClientError as error:
        yield Found("key", Level.BAD, str(error), "Try again.")


def _python() -> Found:
    found = f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {sys.platform}"
    if sys.platform != "linux":
        return Found("machine", Level.NOTE, found, "Limits of evaluators are complete on Linux only.")
    return Found("machine", Level.OK, found)


def _places(settings: Settings) -> Iterator[Found]:
    for name, path in (("data", settings.data_dir.absolute()), ("scratch", settings.scratch_dir)):
        yield _place(name, path)


def _place(name: str, path: Path) -> Found:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
        free = shutil.disk_usage(path).free
    except OSError as error:
        return Found(name, Level.BAD, f"{path} cannot be written: {error.strerror}", "Set BITBUDGET_DATA_DIR.")
    text = f"{path}, {free / GIB:.1f} GiB free"
    network = network_file_system(path)
    if network is not None:
        return Found(name, Level.NOTE, f"{text}, on {network}", "SQLite needs a local disk; blobs may lie here.")
    if free < LEAST_FREE:
        return Found(name, Level.NOTE, text, f"Make room: less than {LEAST_FREE / GIB:.0f} GiB is soon full.")
    return Found(name, Level.OK, text)


def _database(settings: Settings) -> Iterator[Found]:
    try:
        database = connect(settings.database)
    except (DatabaseError, OSError) as error:
        yield Found("database", Level.BAD, str(error), "Correct BITBUDGET_DATABASE_URL.")
        return
    try:
        yield from _tables(database, settings)
    finally:
        database.close()


def _tables(database: Database, settings: Settings) -> Iterator[Found]:
    name = database.url.render_as_string(hide_password=True)
    if not database.is_up():
        yield Found("database", Level.BAD, f"{name} does not answer", "Start it, or correct BITBUDGET_DATABASE_URL.")
        return
    state = schema_state(database)
    if state is SchemaState.EMPTY and database.is_sqlite:
        yield Found("database", Level.OK, f"{name} is new; 'bitbudget serve' makes the tables")
        return
    try:
        check_schema(database)
    except DatabaseError as error:
        yield Found("database", Level.BAD, str(error))
        return
    yield Found("database", Level.OK, f"{name} has the tables of this version")
    with database.reading() as connection:
        alive = workers.alive(connection, settings.dead_s)
        versions = {one.version for one in workers.listing(connection) if one.executor_id in alive}
    if not alive:
        yield Found("workers", Level.NOTE, "none is alive", "Start 'bitbudget worker', or 'bitbudget serve'.")
    elif versions != {durable.VERSION}:
        text = f"versions {', '.join(sorted(versions))}, this program is {durable.VERSION}"
        yield Found("workers", Level.NOTE, text, "Start all workers with the same version.")
    else:
        yield Found("workers", Level.OK, f"{len(alive)} alive")


def _evaluator(settings: Settings) -> Found:
    """Start one, as a worker does."""

    async def start() -> Found:
        with tempfile.TemporaryDirectory(dir=settings.scratch_dir) as folder:
            pool = Pool(settings, Path(folder))
            try:
                found = {**await pool.environment(), "walls": ", ".join(await pool.walls()) or "none"}
                async with pool.evaluator("doctor") as process:
                    await process.answer()
                    taken, allowed = process.address_space()
            finally:
                await pool.close()
        text = ", ".join(f"{key} {value}" for key, value in sorted(found.items()))
        return judged_memory(f"starts: {text}", taken, allowed, settings)

    try:
        return asyncio.run(start())
    except Exception as error:  # noqa: BLE001  # whatever it is, the user should read it
        remedy = "Give BITBUDGET_EVALUATOR_MEMORY_BYTES a larger value, or install bitbudget again."
        return Found("evaluator", Level.BAD, f"does not start: {type(error).__name__}: {error}", remedy)


def judged_memory(text: str, taken: int, allowed: int | None, settings: Settings) -> Found:
    """Whether the memory limit is in force, and leaves room for a model.

    Args:
        text: What else is known of the evaluator.
        taken: Address space of one that has done nothing yet, bytes.
        allowed: What the kernel lets it have; None if that is without limit.
        settings: What was set.
    """
    wanted = settings.evaluator_memory_bytes
    if allowed is None or allowed > wanted:
        return Found("evaluator", Level.BAD, f"{text}; its memory limit is not in force", "Report this machine.")
    shown = f"{text}; {taken / GIB:.1f} of {allowed / GIB:.1f} GiB address space are its libraries'"
    if allowed - taken < LEAST_FOR_MODELS:
        remedy = f"Set BITBUDGET_EVALUATOR_MEMORY_BYTES to {taken + LEAST_FOR_MODELS} at least; models need the rest."
        return Found("evaluator", Level.BAD, shown, remedy)
    if settings.slots * wanted > memory_bytes():
        remedy = "Use fewer slots or a smaller limit, or large models end each other: the kernel chooses whom."
        shown += f"; {settings.slots} of them may need more memory than there is"
        return Found("evaluator", Level.NOTE, shown, remedy)
    return Found("evaluator", Level.OK, shown)


def _isolation() -> Found:
    layers = "own process, address space, processor time, file size, no new privileges, dies with its worker"
    if os.geteuid() == 0:
        return Found("limits", Level.NOTE, f"{layers}; runs as root", "Run the service as a user of its own.")
    return Found("limits", Level.OK, f"{layers}; the network is not cut off (docs/deploy.md)")
