"""What a command loads before it does anything: counted in modules, because seconds depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bitbudget._commands import ALL
from service.cli.commands import application, overview

HEAVY = frozenset(
    {"dbos", "fastapi", "numpy", "onnx", "onnx_ir", "onnxruntime", "optuna", "plotly", "scipy", "sqlalchemy", "sympy"}
)
AT_START = """
import json, sys
try:
    from bitbudget.__main__ import main
    main({arguments!r})
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
AT_FIRST_LINE = """
import json, sys
class Stream:
    def write(self, text):
        if text.strip():
            sys.__stderr__.write(json.dumps(sorted(sys.modules)) + "\\n" + text)
            raise SystemExit
    def flush(self): pass
    def isatty(self): return False
sys.stderr = Stream()
from bitbudget.__main__ import main
main({arguments!r})
"""


def loaded(program: str, arguments: list[str], folder: Path, *, line: int) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program.format(arguments=arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(json.loads(done.stderr.splitlines()[line]))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["targets"], ["status", "--help"], ["submit", "--help"], ["search", "--help"]],
    ids=" ".join,
)
def test_a_command_that_computes_nothing_loads_nothing_that_computes(arguments: list[str], tmp_path: Path) -> None:
    found = loaded(AT_START, arguments, tmp_path, line=-1)
    assert not HEAVY & found
    assert len(found) < 700  # 270 to 500 when this was written; any of the libraries above adds hundreds


@pytest.mark.parametrize("command", ["check", "search"])
def test_the_first_line_is_out_before_the_search_is_loaded(command: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    goal = ["--calibration", "random", "--evaluation", "e.npz", "--metric", "top1", "--out", "o"]
    arguments = [command, "m.onnx", "--target", "j6m", *(goal if command == "search" else [])]
    found = loaded(AT_FIRST_LINE, arguments, tmp_path, line=0)
    assert not HEAVY & found


def test_scipy_and_optuna_are_loaded_once_they_are_used(tmp_path: Path) -> None:
    program = "import json, sys, service.local.local_run; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    found = loaded(program, [], tmp_path, line=-1)
    assert "onnx_ir" in found
    assert not {"optuna", "scipy.special", "scipy.stats", "scipy.optimize", "dbos", "sqlalchemy", "fastapi"} & found


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    everything = typer.main.get_command(application(ALL)).commands  # type: ignore[attr-defined]
    assert list(everything) == list(ALL) == list(typer.main.get_command(overview(ALL)).commands)  # type: ignore[attr-defined]
    for name, command in everything.items():
        assert (command.help or "").splitlines()[0] == ALL[name].summary, name
