"""``bitbudget`` called in this process."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitbudget.__main__ import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def bitbudget(*arguments: str | Path) -> Ended:
    """Run the command line and capture everything."""
    out, err = io.StringIO(), io.StringIO()
    code = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return Ended(int(code), out.getvalue(), err.getvalue())


def search(
    files: Any, out: Path, *options: str | Path, target: str = "j6m", goal: Sequence[str] = ("--max-drop", "0.01")
):
    """``bitbudget search`` on a small study."""
    return bitbudget("search", *files.arguments, "--target", target, *goal, "--out", out, *options)


def result_of(out: Path) -> dict[str, Any]:
    """``result.json`` of a directory."""
    found: dict[str, Any] = json.loads((out / "result.json").read_text())
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
