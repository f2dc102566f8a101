"""A study on a server in lines for people: while it runs on standard error, at its end on standard output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from search.records.document import read
from search.records.result import Result
from search.records.trial import TrialRecord
from service.cli.summary import print_summary
from service.cli.trial_lines import trial_line
from service.client.follow import Watch
from service.contract import Event


def say(text: str) -> None:
    """Say something about the work, not part of the answer."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


@contextmanager
def watcher() -> Iterator[Watch]:
    """Yield what is told every event of a study."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Lines(console, bar)


class _Lines:
    """Says each event once."""

    def __init__(self, console: Console, bar: Progress | None = None) -> None:
        self._console = console
        self._bar = bar
        self._task = None if bar is None else bar.add_task("queued", total=None)

    def __call__(self, event: Event) -> None:
        """Say it."""
        data = event.data
        if event.kind == "trial":
            self._say(trial_line(read(TrialRecord, data)))
        elif event.kind == "phase":
            self._show(str(data.get("phase")))
        elif event.kind == "state":
            self._show(str(data.get("state") or data.get("to") or "changed"))
        elif event.kind == "progress" and self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=data.get("completed"), total=data.get("total"))

    def _show(self, text: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text, completed=0, total=None)
        else:
            self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def print_study(study: Mapping[str, Any], result: Mapping[str, Any] | None, output: Path | None = None) -> None:
    """Print how a study stands; with its result, the same summary as a local search."""
    if result is not None and output is not None:
        print_summary(Result.from_json(result), output)
        return
    for line in study_lines(study):
        typer.echo(line)


def study_lines(study: Mapping[str, Any]) -> list[str]:
    """Return how a study stands, a line each."""
    name = f" {study['name']!r}" if study.get("name") else ""
    outcome = f", goal {str(study['outcome']).replace('_', ' ')}" if study.get("outcome") else ""
    lines = [f"{study['id']}{name}: {study['state']}{outcome} on {study['target']}"]
    progress = study.get("progress") or {}
    if study.get("state") == "running" and progress:
        done = f"{progress.get('completed', '?')} of {progress.get('total', '?')} {progress.get('unit', '')}"
        lines.append(f"  {study.get('phase')}: {done}, {progress.get('trials', 0)} trials, {study['seconds']:.1f} s")
    for metric in ((study.get("result") or {}).get("metrics")) or ():
        shown = {key: metric.get(key) for key in ("float", "required", "chosen")}
        numbers = ", ".join(f"{key} {'-' if value is None else f'{value:.4f}'}" for key, value in shown.items())
        lines.append(f"  {metric['id']}: {numbers}")
    error = study.get("error")
    if error:
        lines.append(f"  {error.get('code')}: {error.get('message')} {error.get('hint', '')}".rstrip())
    return lines
