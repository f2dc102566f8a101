"""Progress of a local run: a live bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.progress import Task as Bar
from rich.text import Text

from service.cli.trial_lines import trial_line

if TYPE_CHECKING:  # the first line is said before the search is loaded
    from service.local.driver import State

FIRST = "reading and testing the model"
"""What the first item does, said before the search is loaded; see search/work/kinds/check.py."""


class RunClock(ProgressColumn):
    """Time since the run began; it goes on between the phases."""

    def render(self, task: Bar) -> Text:
        """Return hours, minutes and seconds."""
        return Text(str(timedelta(seconds=int(task.get_time() - (task.start_time or 0.0)))), style="progress.elapsed")


class Progressing:
    """What is told how a run goes; it has said its first line before it is told anything."""

    def __init__(self, console: Console, bar: Progress | None = None) -> None:
        self._seen = _Seen(console)
        self._bar = bar
        self._task = None if bar is None else bar.add_task(FIRST, total=None)
        if bar is None:
            self._seen.phase(FIRST, 0.0)

    def __call__(self, state: State) -> None:
        """Show where the run is."""
        if state.note is not None:
            self._seen.note(state.note)
        self._seen.trials(state)
        if state.task is None:
            return
        if self._bar is None or self._task is None:
            self._seen.phase(state.task.kind.doing, state.seconds)
        else:
            self._bar.update(
                self._task, description=state.task.kind.doing, completed=state.done, total=state.total or None
            )


@contextmanager
def watcher() -> Iterator[Progressing]:
    """Yield what the driver calls when something changed."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Progressing(console)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RunClock())
    with Progress(*columns, console=console, transient=True) as bar:
        yield Progressing(console, bar)


class _Seen:
    """What has been said already."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._trials: dict[int, int] = {}

    def phase(self, phase: str, seconds: float) -> None:
        """Say a phase that is new."""
        if phase != self._phase:
            self._phase = phase
            self._say(f"[{seconds:6.1f} s] {self._phase}")

    def note(self, text: str) -> None:
        """Say something at once."""
        self._say(f"note: {text}")

    def trials(self, state: State) -> None:
        """Say trials that are new, and those that were completed."""
        session = state.replay.progress.session
        if session is None:
            return
        from search.study.trial_records import trial_record  # noqa: PLC0415  there is a search by now

        for trial in session.trials:
            if self._trials.get(trial.number) != trial.n_run:  # new, or completed since
                self._trials[trial.number] = trial.n_run
                self._say(trial_line(trial_record(session, trial)))

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
