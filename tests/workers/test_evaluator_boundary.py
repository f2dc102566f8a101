"""What a worker believes of an evaluator that a hostile model has taken over: nothing it cannot check."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.store.blobs.store import BlobStore
from service.store.db.engine import Database
from service.store.settings import Settings
from tests.service.databases import sqlite_database
from tests.workers.installation import children_of, is_running
from workers import fork_server as fork_server_module
from workers.evaluator import guard
from workers.evaluator_process import KEPT_ERRORS, EvaluatorProcess
from workers.failures import StudyFailedError
from workers.fork_server import EvaluatorDiedError, EvaluatorHandle, ForkServer
from workers.runner import Runner
from workers.wakeup import wake_ups_of

__all__ = ["sqlite_database"]

WAIT_S = 60.0
SECRETS = {"BITBUDGET_DATABASE_URL": "postgresql://u:hunter2@h/d", "BITBUDGET_API_KEY": "bbk_hunter2"}


async def gone(process: asyncio.subprocess.Process) -> int:
    """Wait for its exit alone: ``process.wait()`` also waits for pipes that nobody reads any more."""
    while process.returncode is None:
        await asyncio.sleep(0.01)
    return process.returncode


@asynccontextmanager
async def taken_over(folder: Path, script: str) -> AsyncIterator[EvaluatorProcess]:
    """A process that says what a script says in place of an evaluator."""
    (folder / "out").mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *["sh", "-c", script],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        start_new_session=True,
        limit=fork_server_module.MAX_LINE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    ended = asyncio.ensure_future(gone(process))
    handle = EvaluatorHandle(
        process.pid, process.stdout, process.stdin, process.stderr, ended, {}, process.stdin.transport
    )
    found = EvaluatorProcess(handle, folder, WAIT_S)
    try:
        yield found
    finally:
        await found.kill()
        process._transport.close()  # what it said and nobody read would keep its pipes open


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await asyncio.wait_for(work(), WAIT_S)
        await asyncio.sleep(0.1)  # what was closed has ended

    asyncio.run(within())


async def asked(process: EvaluatorProcess) -> list[object]:
    return [line async for line in process.ask({"op": "run"}, lambda digest: None)]


@pytest.mark.parametrize(
    "said", ["no json", "[1, 2]", '"text"', "[" * 100_000, '{"say": "error", "error": {"code": "root"}}', "\\0377"]
)
def test_an_answer_that_is_none_is_an_error_of_the_study(tmp_path: Path, said: str) -> None:
    async def work() -> None:
        (tmp_path / "said").write_text(said + "\n")
        async with taken_over(tmp_path, "read x; cat said; sleep 60") as process:
            with pytest.raises(StudyFailedError) as caught:
                await asked(process)
            assert (caught.value.code, caught.value.blame) == ("internal-error", "system")

    run(work)


def test_an_answer_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server_module, "MAX_LINE", 2**16)

    async def work() -> None:
        async with taken_over(tmp_path, "read x; yes | tr -d '\\n'") as process:
            with pytest.raises(StudyFailedError, match="no answer"):
                await asked(process)

    run(work)


def test_a_flood_of_text_is_read_and_its_end_is_kept(tmp_path: Path) -> None:
    async def work() -> None:
        flood = "head -c 20000000 /dev/zero | tr '\\0' 'x' >&2; yes line | head -n 200000 >&2; echo the last >&2"
        async with taken_over(tmp_path, f"read x; {flood}; exit 3") as process:
            with pytest.raises(EvaluatorDiedError, match=r"exit status 3: the last\.$"):
                await asked(process)
            assert len(process._errors) <= KEPT_ERRORS

    run(work)


def test_only_plain_files_that_it_wrote_itself_are_taken(tmp_path: Path) -> None:
    async def work() -> None:
        async with taken_over(tmp_path, "read x; sleep 60") as process:
            out = tmp_path / "out"
            (tmp_path / "secret").write_text("hunter2")
            (out / "0").write_text("good")
            (out / "1").symlink_to(tmp_path / "secret")
            os.link(tmp_path / "secret", out / "2")
            (out / "3").mkdir()
            os.mkfifo(out / "4")
            assert process.take("0").read_text() == "good"
            for name in ("1", "2", "3", "4", "5", "../secret", "/etc/passwd", "0/../1", "", None, 7.5, ["0"]):
                with pytest.raises(StudyFailedError, match="did not write"):
                    process.take(name)

    run(work)


def test_it_knows_no_secret_and_whatever_it_starts_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    async def work() -> None:
        fork_server = await ForkServer.start(Settings(data_dir=tmp_path, evaluator_memory_bytes=2**33))
        try:
            handle = await fork_server.spawn(tmp_path)
            process = EvaluatorProcess(handle, tmp_path / "gone", WAIT_S)
            assert await asked(process) == []
            environment = Path(f"/proc/{handle.pid}/environ").read_bytes()
            assert b"PATH=" in environment
            assert b"hunter2" not in environment
            assert b"BITBUDGET" not in environment
            assert os.getpgid(handle.pid) == handle.pid != os.getpgid(0)
            limits = Path(f"/proc/{handle.pid}/limits").read_text()
            assert "Max address space         8589934592" in limits
            assert "Max core file size        0" in limits
            status = Path(f"/proc/{handle.pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status
            parent = int(status.split("PPid:")[1].split()[0])
            os.kill(parent, signal.SIGKILL)
            assert await handle.ended == -signal.SIGKILL
            while is_running(handle.pid):
                await asyncio.sleep(0.01)
            assert children_of(handle.pid) == []
            await process.kill()
        finally:
            await fork_server.close()

    run(work)


AS_NOBODY = """
import ctypes, os, runpy, sys
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after the start of a program: a change of user hides, too
"""
KEEPER = AS_NOBODY.replace("if os", "hide = runpy.run_path(sys.argv[1])['hide']\nif os")
READER = AS_NOBODY + "print(open(f'/proc/{sys.argv[1]}/environ').read())"


@pytest.mark.parametrize("hides", [True, False])
def test_others_of_its_user_cannot_read_the_environment_of_who_knows_secrets(hides: bool) -> None:
    """As an evaluator would read its worker's or the server's. Root may read everything, so not as root."""
    script = KEEPER + ("hide()" if hides else "") + "\nprint('ready', flush=True); input()"
    given = [sys.executable, "-c", script, guard.__file__]
    with subprocess.Popen(given, env=SECRETS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "ready\n"
        asking = [sys.executable, "-c", READER, str(keeper.pid)]
        read = subprocess.run(asking, capture_output=True, text=True, check=False)
        keeper.communicate("\n")
    assert ("hunter2" in read.stdout) != hides, read.stderr
    assert ("PermissionError" in read.stderr) == hides


@pytest.mark.parametrize(
    "line",
    [
        {"say": "item", "digest": "1" * 64, "kind": "evaluate"},
        {"say": "item", "digest": "0" * 64, "kind": "export"},
        {"say": "file", "digest": "0" * 64, "kind": "evaluate"},
        {"say": "item", "kind": "evaluate"},
        {},
    ],
)
def test_a_result_that_was_not_asked_for_is_refused(
    tmp_path: Path, sqlite_database: Database, line: dict[str, Any]
) -> None:
    settings = Settings(data_dir=tmp_path)
    wake_ups = wake_ups_of(settings, sqlite_database, "worker")
    runner = Runner(settings, sqlite_database, BlobStore(tmp_path / "blobs"), "worker", wake_ups)
    nobody: Any = None
    with pytest.raises(StudyFailedError, match="not asked"):
        runner._take_item(nobody, nobody, {"0" * 64: {"kind": "evaluate"}}, line)
