"""Code of an attacker inside a real evaluator: forked by the real fork server, confined as any, then let loose."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from service.store.blobs.store import BlobStore
from service.store.db import blobs, tenants
from service.store.db.engine import Database
from service.store.settings import Settings
from tests.docs.pages import ROOT
from tests.service.databases import sqlite_database
from workers import fork_server as fork_server_module
from workers.evaluator import landlock, seccomp
from workers.evaluator_process import EvaluatorProcess
from workers.fork_server import ForkServer
from workers.runner import Runner
from workers.wakeup import wake_ups_of

__all__ = ["sqlite_database"]

WAIT_S = 60.0
ATTACKER = """
import ctypes, os, signal, socket, sqlite3, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import workers.evaluator.__main__ as server
import workers.evaluator.serving as serving


def tried(attack):
    try:
        return f"done: {{attack()}}"
    except BaseException as error:
        return type(error).__name__


def forks():
    for _ in range(300):
        if os.fork() == 0:
            os._exit(0)



def libc(call, *arguments):
    def attack():
        if getattr(ctypes.CDLL(None, use_errno=True), call)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), call)
    return attack


def write_memory(pid):
    with open(f"/proc/{{pid}}/mem", "r+b", buffering=0) as memory:
        memory.read(1)


def thread():
    import threading
    answers = []
    one = threading.Thread(target=lambda: answers.append(tried(lambda: Path(PLAN["secret"]).read_text())))
    one.start()
    one.join()
    return answers[0]


def evil(pipe, message):
    global PLAN
    plan = PLAN = message["spec"]
    secret, parent = plan["secret"], os.getppid()
    attacks = {{
        "sqlite": lambda: sqlite3.connect(plan["database"]).execute("select * from secrets").fetchall(),
        "sqlite write": lambda: sqlite3.connect(plan["database"]).execute("insert into secrets values (1)"),
        "foreign blob": lambda: Path(secret).read_text(),
        "foreign blob by link": lambda: (os.symlink(secret, "link"), Path("link").read_text()),
        "foreign blob by hard link": lambda: (os.link(secret, "hard"), Path("hard").read_text()),
        "list of blobs": lambda: os.listdir(Path(secret).parent),
        "write elsewhere": lambda: Path(secret).with_name("mine").write_text("x"),
        "write an input": lambda: Path(plan["input"]).write_text("x"),
        "tcp": lambda: socket.create_connection(("127.0.0.1", plan["port"]), 1),
        "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
        "unix": lambda: socket.socket(socket.AF_UNIX).connect("/run/x"),
        "io_uring": libc("syscall", 425, 1, 0),
        "signal to the fork server": lambda: os.kill(parent, 0),
        "signal to the worker": lambda: os.kill(plan["worker"], 0),
        "signal to all": lambda: os.kill(-1, 0),
        "ptrace": libc("ptrace", 16, parent, 0, 0),
        "memory of the worker": lambda: write_memory(plan["worker"]),
        "memory of the fork server": lambda: write_memory(parent),
        "environment of the worker": lambda: Path(f"/proc/{{plan['worker']}}/environ").read_bytes(),
        "forks": forks,
        "program": lambda: os.execv("/bin/true", ["true"]),
        "outlive the worker": libc("prctl", 1, 0, 0, 0, 0),
        "mount": libc("mount", b"none", b"/mnt", b"tmpfs", 0, None),
        "namespaces": libc("unshare", 0x10000000),
        "thread": thread,
    }}
    answers = {{name: tried(attack) for name, attack in attacks.items() if name in plan.get("only", attacks)}}
    pipe.send("want", digest=plan["foreign"])
    answers["foreign digest"] = str(pipe.receive().get("path"))
    pipe.send("want", digest=plan["own"])
    answers["own digest"] = tried(lambda: Path(pipe.receive()["path"]).read_text())
    answers["own input"] = tried(lambda: Path(plan["input"]).read_text())
    answers["own folder"] = tried(lambda: Path("out/mine").write_text("x"))
    answers["open files"] = str(sorted(os.readlink(f"/proc/self/fd/{{n}}").split(":")[0] for n in
                                       os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{n}}")))
    pipe.send("item", answers=answers)


serving._open = evil
sys.argv = sys.argv[1:]
server.main()
"""
ALLOWED = {"own digest", "own input", "own folder", "open files", "foreign digest", "thread"}

pytestmark = pytest.mark.skipif(
    landlock.version() < 6 or not seccomp.is_available(), reason="the kernel has no Landlock 6 or no seccomp"
)


def attack(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, str]:
    """Let the attacker loose; what came of each attack."""
    script = tmp_path / "attacker.py"
    script.write_text(ATTACKER.format(root=str(ROOT)))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift; shift\nexec "{sys.executable}" -I "{script}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(fork_server_module.sys, "executable", str(python))
    settings = Settings(data_dir=tmp_path / "data")
    store = BlobStore(settings.blobs_dir)
    with database.writing() as connection:
        ours = tenants.ensure(connection, "ours").id
        theirs = tenants.ensure(connection, "theirs").id
    digests = {}
    for name, tenant in (("own", ours), ("foreign", theirs)):
        staged = store.stage(iter([name.encode()]), limit=100)
        store.keep(staged)
        digests[name] = staged.digest
        with database.writing() as connection:
            blobs.put(connection, tenant, staged.digest, staged.size)
    stolen = tmp_path / "data" / "tenants.sqlite"
    with sqlite3.connect(stolen) as secrets:
        secrets.execute("create table secrets (value text)")
    plan: dict[str, Any] = {
        **digests,
        "database": str(stolen),
        "secret": str(store.path(digests["foreign"])),
        "input": str(store.path(digests["own"])),
        "worker": os.getpid(),
        "port": 9,
        **more,
    }
    runner = Runner(settings, database, store, "red-team", wake_ups_of(settings, database, "red-team"))

    async def work() -> dict[str, str]:
        server = await ForkServer.start(settings)
        try:
            folder = tmp_path / "evaluator"
            folder.mkdir()
            process = EvaluatorProcess(await server.spawn(folder), folder, WAIT_S)
            threads = len(os.listdir(f"/proc/{server._process.pid}/task"))
            assert threads == 1, "the fork server has one thread"
            study = type("Study", (), {"tenant_id": ours})()
            message = {"op": "open", "spec": plan, "lent": str(tmp_path / "lent"), "paths": {"x": plan["input"]}}
            process._lent = tmp_path / "lent"
            process._lent.mkdir()
            lines = [line async for line in process.ask(message, runner._fetch_for(study))]
            await process.kill()
            return dict(lines[0]["answers"])
        finally:
            await server.close()

    return asyncio.run(work())


def test_code_inside_an_evaluator_reaches_nothing_but_its_own_study(
    tmp_path: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = attack(tmp_path, sqlite_database, monkeypatch)
    succeeded = {name: text for name, text in answers.items() if name not in ALLOWED and text.startswith("done")}
    assert succeeded == {}
    assert answers["foreign digest"] == "None"
    assert answers["thread"] == "done: PermissionError"
    assert answers["own digest"] == "done: own"
    assert answers["own input"] == "done: own"
    assert answers["own folder"] == "done: 1"


def test_without_the_walls_the_same_attacks_succeed(
    tmp_path: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    walls = "import workers.evaluator.serving as serving\n"
    monkeypatch.setattr(
        sys.modules[__name__], "ATTACKER", ATTACKER.replace(walls, f"{walls}serving.confine = lambda *_: None\n")
    )
    harmless = ("sqlite", "foreign blob", "udp", "signal to the worker", "forks", "list of blobs")
    answers = attack(tmp_path, sqlite_database, monkeypatch, only=harmless)
    assert {name: answers[name] for name in harmless if not answers[name].startswith("done")} == {}
    assert answers["foreign digest"] == "None", "the worker knows whose blob it is, whatever the kernel has"
