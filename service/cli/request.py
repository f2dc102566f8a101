"""What ``bitbudget search`` was asked for, and the job in it; loads nothing of the search itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from search.errors import UsageError
from search.spec.flags import merge_flags
from search.spec.job import JobSpec, Run
from search.spec.load import build_job, check_available, read_spec
from service.cli.shared_options import GOAL_PATHS, PATH_FLAGS


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asked for.

    Attributes:
        flags: Options that shape the spec, those that were given.
        spec: Spec file under the flags.
        trusts_python: Whether metrics that are Python code may run.
    """

    flags: Mapping[str, Any]
    spec: Path | None = None
    trusts_python: bool = False

    @property
    def base(self) -> Path:
        """Folder that relative paths of the job start from."""
        return Path() if self.spec is None else self.spec.parent

    @property
    def absolute(self) -> frozenset[str]:
        """Roles whose relative paths start from the working directory instead: they were given as options."""
        metrics = {"metric"} if self.flags.keys() & GOAL_PATHS else set()
        return PATH_FLAGS.intersection(self.flags) | metrics


def read_job(request: Request) -> JobSpec:
    """Return the job that options and spec file make together.

    Raises:
        UsageError: If the file cannot be read, or a value is wrong.
    """
    values: dict[str, Any] = {"schema": "bitbudget.job/1"}
    if request.spec is not None:
        try:
            values = read_spec(request.spec.read_text(), where=str(request.spec))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The spec {str(request.spec)!r} cannot be read: {error}.") from None
    job = build_job(merge_flags(values, request.flags))
    check_available(job, trusts_python=request.trusts_python)
    _note_server_keys(job.run)
    return job


def _note_server_keys(run: Run) -> None:
    """Say which keys of the job only a server heeds."""
    if run.timeout_s is not None:
        typer.echo("note: run.timeout_s is for a server; a local search takes --max-seconds.", err=True)
    if run.priority:
        typer.echo("note: run.priority is for the queue of a server; a local search has none.", err=True)
