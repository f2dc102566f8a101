"""``bitbudget worker``: computes studies until it is told to stop. With a process id: until that process ends too."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from service.cli.installation import DatabaseOption, DataDirOption, database_errors, read_settings
from service.log_lines import begin_log
from service.store.settings import Settings
from workers.main import run_worker


def worker(
    slots: Annotated[int | None, typer.Option(min=1, help="Evaluations at once; BITBUDGET_SLOTS, else 1.")] = None,
    data_dir: DataDirOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Work on queued studies; SIGTERM finishes the items at hand and leaves."""
    settings = read_settings(slots=slots, data_dir=data_dir, database_url=database_url)
    begin_log(settings.log_format, settings.log_level)
    with database_errors(settings):
        run_worker(settings)


def work_for(parent: int, settings: Settings) -> None:
    """Work as the child of a server; a server that was killed does not leave a worker behind."""
    run_worker(settings, until=lambda: os.getppid() != parent)


if __name__ == "__main__":
    given = Settings.from_env()
    begin_log(given.log_format, given.log_level)
    work_for(int(sys.argv[1]), given)
