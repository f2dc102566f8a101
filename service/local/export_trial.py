"""Delivering another trial of a search that has ended: its files and their re-check, nothing that was measured already.

The search is replayed over what its run directory holds; only what belongs to the other trial is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from search.errors import UsageError
from search.records.result import Result
from search.spec.load import build_job
from search.study.plan import Stop
from service.local.delivered_result import read_result
from service.local.driver import Watch
from service.local.local_run import LocalRun, run_job
from service.local.store import RunStore


def export_trial(
    directory: Path,
    *,
    trial: int | None = None,
    out: Path | None = None,
    watch: Watch = lambda _: None,
    trusts_python: bool = False,
    command: str | None = None,
) -> Result:
    """Deliver a trial of a finished search into a folder of its own, and return the result.

    Args:
        directory: Output directory of the search; nothing in it is changed.
        trial: Its number, of one that ran on every sample; None takes what the search chose.
        out: Output directory, new or of an earlier export of the same trial; None takes ``trial-N`` in ``directory``.
        watch: Told how it goes.
        trusts_python: Whether metrics that are Python code may run.
        command: What was typed, for the result; None where it is no command.

    Raises:
        UsageError: If the directory holds no finished search, its model or data are others by now, or there is no such
            trial that ran in full.
    """
    result = read_result(directory)
    number = _number(directory, result, trial)
    kept = RunStore(directory).job()
    if not isinstance(kept, Mapping):
        raise UsageError(f"The job of {str(directory)!r} cannot be read. Run the same search again.")
    run = LocalRun(
        job=build_job(kept["job"]),
        out=folder_of(directory, number) if out is None else out,
        base=Path(kept["base"]),
        absolute=frozenset(kept["absolute"]),
        here=Path(kept["here"]),
        reuse=directory,
        trusts_python=trusts_python,
        command=command,
        delivers=number,
        ended=cast("Stop | None", result.stopped),
    )
    return run_job(run, watch)


def folder_of(directory: Path, trial: int | None) -> Path:
    """Where a trial is delivered if nothing else is said.

    Raises:
        UsageError: If no trial is named and the directory holds no finished search, or one without any.
    """
    return directory / f"trial-{_number(directory, read_result(directory), None) if trial is None else trial}"


def _number(directory: Path, result: Result, trial: int | None) -> int:
    number = result.chosen_trial if trial is None else trial
    if number is None:
        raise UsageError(f"{str(directory)!r} has no trial to deliver. Search again with more evaluations.")
    complete = [one.no for one in result.trials if one.verdict.is_complete]
    if number not in complete:
        listed = ", ".join(map(str, complete)) or "none"
        raise UsageError(f"Trial {number} is none that ran on every sample. Complete trials: {listed}.")
    return number
