"""The one document in which a submission ends, on standard output and in ``--result-file``: whatever happened.

{"schema": "bitbudget.submission/1", "exit_code": 3, "study": {...}, "result": {...}, "error": null}
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from search.errors import UsageError

SCHEMA = "bitbudget.submission/1"
OPTION = "--result-file"


@dataclass
class Ending:
    """What is known about a submission so far.

    Attributes:
        study: The study as the server showed it last; its id is in it.
        result: ``result.json``, once there is one.
        estimate: Answer to ``--dry-run``.
        error: What went wrong: ``code``, ``message``.
        exit_code: Of the command; None while it runs, and in a file left by a command that was killed.
    """

    study: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    estimate: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    exit_code: int | None = None

    def text(self) -> str:
        """Return the document."""
        document = {
            "schema": SCHEMA,
            "exit_code": self.exit_code,
            "study": self.study,
            "result": self.result,
            "estimate": self.estimate,
            "error": self.error,
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write_ending(path: Path, ending: Ending) -> None:
    """Write the document: readers see the old file or the whole new one.

    Raises:
        UsageError: If it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(ending.text())
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{OPTION} {str(path)!r} cannot be written: {error.strerror}.") from None


def named_in(arguments: Sequence[str]) -> Path | None:
    """Return the file that a command line names whose options could not be read."""
    for position, argument in enumerate(arguments):
        if argument.startswith(f"{OPTION}="):
            return Path(argument.removeprefix(f"{OPTION}="))
        if argument == OPTION and position + 1 < len(arguments):
            return Path(arguments[position + 1])
    return None


def is_open(path: Path) -> bool:
    """Whether a file holds the ending of a command that has not ended yet."""
    try:
        return path.read_text(encoding="utf-8") == Ending().text()
    except (OSError, UnicodeDecodeError):
        return False


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does: what ends a step of a pipeline must still leave the ending."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


@contextmanager
def left_at_sigterm(path: Path, code: int) -> Iterator[None]:
    """Let SIGTERM leave at once with an ending, while there is nothing to clean up but libraries half loaded."""

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        error = {"code": "interrupted", "message": "The command was interrupted."}
        with suppress(UsageError):
            write_ending(path, Ending(error=error, exit_code=code))
        os._exit(code)

    with _handling(leave):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    try:
        before = signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not the main thread: whoever called this looks after signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
