"""Progress of a local run: a live bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from search.study.trial_records import trial_record
from search.work.problem import Problem
from service.cli.trial_lines import trial_line
from service.local.driver import State

PHASES = {
    "check": "reading and testing the model",
    "collect": "calibrating",
    "calibrate": "calibrating",
    "float": "evaluating float",
    "baseline": "evaluating float",
    "compare": "comparing calibration methods",
    "evaluate": "evaluating",
    "propose": "choosing what to try",
    "sensitivity": "measuring sensitivity",
    "recheck": "checking the exported model",
    "confirm": "confirming on unseen data",
    "unoptimized": "evaluating the exported model unoptimized",
    "export": "writing files",
    "profile": "comparing layer by layer",
    "layers": "writing intermediate results",
}


@contextmanager
def watcher(problem: Problem) -> Iterator[Callable[[State], None]]:
    """Yield what the driver calls when something changed."""
    console = Console(stderr=True, highlight=False)
    seen = _Seen(console)
    if not console.is_terminal:
        yield seen.lines
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(problem.target.name, total=None)

        def watch(state: State) -> None:
            seen.trials(state)
            if state.task is not None:
                bar.update(task, description=PHASES[state.task.kind], completed=state.done, total=state.total)

        yield watch


class _Seen:
    """What has been said already."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._trials = 0

    def lines(self, state: State) -> None:
        """Say new trials and a new phase, one line each."""
        self.trials(state)
        if state.task is not None and PHASES[state.task.kind] != self._phase:
            self._phase = PHASES[state.task.kind]
            self._say(f"[{state.seconds:6.1f} s] {self._phase}")

    def trials(self, state: State) -> None:
        """Say trials that are new."""
        desk = state.replay.progress.desk
        if desk is None:
            return
        for trial in desk.trials[self._trials :]:
            self._say(trial_line(trial_record(desk, trial)))
            self._trials += 1

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
