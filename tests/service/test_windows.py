"""Where a system lacks what POSIX has, the commands that need none of it start: tried by taking the modules away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bitbudget._commands import ALL
from search.errors import UsageError
from service.cli.commands import application
from tests.study.small import Files, write

POSIX = ("fcntl", "resource", "pwd", "grp", "termios", "_posixshmem", "syslog")
WITHOUT = """
import os, signal, sys, types
for name in {posix!r}:
    sys.modules[name] = None
for name in ("O_NOFOLLOW", "O_DIRECTORY", "sysconf", "fork", "geteuid", "killpg"):
    delattr(os, name)
for name in ("pthread_sigmask", "SIGKILL", "SIGHUP"):
    delattr(signal, name)
locked = []
windows = types.ModuleType("msvcrt")
windows.LK_NBLCK = 2
def locking(handle, mode, n):
    if {is_locked}:
        raise PermissionError(13, "denied")
    locked.append(n)
windows.locking = locking
"""
THEN = """
sys.modules["msvcrt"] = windows
from bitbudget.__main__ import main
try:
    main({arguments!r})
finally:
    print("locked", locked, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("study"), n=120)


def run(arguments: list[str], folder: Path, *, is_locked: bool = False) -> subprocess.CompletedProcess[str]:
    # What comes with Python and other packages is loaded first: they know what each system has.
    first = "import subprocess, tempfile, shutil, asyncio, multiprocessing.resource_tracker, concurrent.futures\n"
    code = first + WITHOUT.format(posix=POSIX, is_locked=is_locked) + THEN.format(arguments=arguments)
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["targets"], ["status", "--help"], ["submit", "--help"]])
def test_commands_that_compute_nothing_start(arguments: list[str], tmp_path: Path) -> None:
    done = run(arguments, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_client_can_be_imported(tmp_path: Path) -> None:
    code = (
        WITHOUT.format(posix=POSIX, is_locked=False) + "from bitbudget import AsyncClient, Client; Client('http://x')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_model_is_checked(files: Files, tmp_path: Path) -> None:
    done = run(["check", str(files.model), "--target", "j6m", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["groups"]


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_search_runs_and_takes_its_directory_for_itself(files: Files, tmp_path: Path, is_locked: bool) -> None:
    given = [
        "search",
        *map(str, files.arguments),
        "--target",
        "j6m",
        "--metric",
        "top1",
        "--max-drop",
        "0.01",
        "--out",
        "out",
    ]
    done = run([*given, "--strategy", "ladder"], tmp_path, is_locked=is_locked)
    if is_locked:
        assert done.returncode == 2
        assert "Another run is working in" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "locked [1]" in done.stderr
        assert (tmp_path / "out/result.json").is_file()


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "doctor"])
def test_the_server_says_that_it_needs_linux(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match=f"'bitbudget {command}' needs Linux.*this is win32"):
        application({command: ALL[command]})
