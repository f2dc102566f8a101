"""``bitbudget worker``: computes studies until it is told to stop. With a process id: until that process ends too."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from service.cli.installation import DatabaseOption, DataDirOption, database_errors, read_settings
from service.store.settings import Settings
from workers.main import run_worker

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def worker(
    slots: Annotated[int | None, typer.Option(min=1, help="Evaluations at once; BITBUDGET_SLOTS, else 1.")] = None,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Work on queued studies; SIGTERM finishes the items at hand and leaves."""
    begin_log()
    settings = read_settings(slots=slots, data_dir=data_dir, database_url=database_url)
    with database_errors(settings):
        run_worker(settings)


def begin_log() -> None:
    """Write the log of a process that stays to standard error; of libraries only what matters."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    for name in ("alembic", "dbos", "httpx", "uvicorn"):  # httpx tells addresses of webhooks, which may be secret
        logging.getLogger(name).setLevel(logging.WARNING)


def work_for(parent: int, settings: Settings) -> None:
    """Work as the child of a server; a server that was killed does not leave a worker behind."""
    run_worker(settings, until=lambda: os.getppid() != parent)


if __name__ == "__main__":
    begin_log()
    work_for(int(sys.argv[1]), Settings.from_env())
