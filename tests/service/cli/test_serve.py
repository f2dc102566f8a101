"""``bitbudget serve`` and what asks it, as real processes: the same answer as a local search, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.client.errors import ClientError
from service.client.retries import Retries
from tests.docs.pages import ROOT
from tests.service.cli.served import Served, command, environment, served
from tests.service.databases import new_url
from tests.study.memory import without_times
from tests.study.small import conv_net, write
from tests.workers.installation import children_of, is_running

JOB = ROOT / "examples/digits/job.yaml"
pytestmark = pytest.mark.slow


def unmeasured(path: Path) -> dict[str, Any]:
    """``result.json`` without measured times."""
    found: dict[str, Any] = json.loads(path.read_text())
    return without_times(found)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answer of the command line alone."""
    out = tmp_path_factory.mktemp("local") / "out"
    given = command("search", "--spec", str(JOB), "--out", str(out))
    assert subprocess.run(given, env=environment({}), capture_output=True, check=False).returncode == 0
    return unmeasured(out / "result.json")


def test_a_study_over_rest_gives_the_answer_of_the_command_line(tmp_path: Path, local: dict[str, Any]) -> None:
    with served(tmp_path / "server") as server:
        out, ending = tmp_path / "out", tmp_path / "ending.json"
        done = server.run("submit", "--spec", JOB, "--wait", "--json", "--output", out, "--result-file", ending)
        assert done.returncode == 0, done.stderr
        assert unmeasured(out / "result.json") == local
        document = json.loads(done.stdout)
        assert document == json.loads(ending.read_text())
        assert (document["exit_code"], document["error"], document["study"]["outcome"]) == (0, None, "met")
        assert document["result"] == json.loads((out / "result.json").read_text())
        study = document["study"]["id"]
        assert "goal met" in server.run("status", study).stdout
        assert server.run("status", study, "--wait").returncode == 0
        assert server.run("cancel", study).returncode == 2
        again = server.run("download", study, "--output", tmp_path / "again", "--json")
        assert {Path(one).name for one in json.loads(again.stdout)["files"]} >= {"result.json", "report.html"}
        assert server.end() == 0


def test_waiting_survives_a_restart_of_the_server(tmp_path: Path, local: dict[str, Any]) -> None:
    with served(tmp_path / "server") as server:
        out = tmp_path / "out"
        given = command("submit", "--spec", str(JOB), "--output", str(out), "--json")
        waiting = subprocess.Popen(given, env=server.variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with server.client() as client:
            until(lambda: client.studies.list().items and client.studies.list().items[0].state == "running")
        server.kill()
        time.sleep(1)
        server.start()
        text, errors = waiting.communicate(timeout=240)
        assert waiting.returncode == 0, errors.decode()
        assert json.loads(text)["exit_code"] == 0
        assert unmeasured(out / "result.json") == local


def until(holds: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except ClientError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("backend", "kills"), [("sqlite", 20), ("postgresql", 10)])
def test_nothing_accepted_is_lost_when_the_server_is_killed_again_and_again(
    tmp_path: Path, backend: str, kills: int
) -> None:
    """The client submits while the server dies under it: each study that it was told of is there, once."""
    with ExitStack() as stack:
        settings = {"BITBUDGET_MAX_QUEUED_STUDIES": "100000"}
        if backend == "postgresql":
            settings["BITBUDGET_DATABASE_URL"] = stack.enter_context(new_url(backend, migrated=False))
            subprocess.run(command("migrate"), env=environment(settings), check=True, capture_output=True)
        server = stack.enter_context(served(tmp_path / "server", "--workers", "0", **settings))
        with server.client() as client:
            data = client.blobs.put(ROOT / "examples/digits/evaluation.npz")
            model = client.blobs.put(ROOT / "examples/digits/digits.onnx")
        spec = {"model": model, "data": {"calibration": data, "evaluation": data}, "target": {"name": "j6m"}}
        accepted: list[str] = []
        ends = threading.Event()

        def submit() -> None:
            with Client(server.url, server.key, retries=Retries(outage_s=120, largest_s=0.2)) as client:
                while not ends.is_set():
                    accepted.append(client.studies.submit(spec, name=f"study {len(accepted)}").id)

        thread = threading.Thread(target=submit)
        thread.start()
        for n in range(kills):
            before = len(accepted)
            deadline = time.monotonic() + 5
            while len(accepted) < before + 1 + n % 3 and time.monotonic() < deadline:
                time.sleep(0.002)
            server.kill()
            server.start()
            server.wait()
        ends.set()
        thread.join(120)
        assert not thread.is_alive()
        with server.client() as client:
            names: list[str | None] = []
            found: set[str] = set()
            cursor = None
            while True:
                page = client.studies.list(limit=200, cursor=cursor)
                names += [one.name for one in page.items]
                found |= {one.id for one in page.items}
                cursor = page.next
                if cursor is None:
                    break
        assert set(accepted) == found
        assert len(set(names)) == len(names), "a study was submitted twice"


def test_a_dead_worker_is_forgotten_at_once_and_replaced(tmp_path: Path) -> None:
    with (
        served(tmp_path / "server", BITBUDGET_HEARTBEAT_S="1", BITBUDGET_DEAD_S="600") as server,
        server.client() as client,
    ):
        until(client.operator.workers)
        (first,) = client.operator.workers()
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: first.pid not in [one.pid for one in client.operator.workers()])  # long before 600 s of silence
        until(client.operator.workers)
        assert f"worker process {first.pid} has died (signal SIGKILL)" in server.log


def test_workers_leave_with_a_server_that_is_killed_and_with_one_that_is_told_to(tmp_path: Path) -> None:
    with served(tmp_path / "server", "--workers", "2") as server:
        for end in (server.kill, server.end):
            assert server.process is not None
            with server.client() as client:
                until(lambda client=client: len(client.operator.workers()) >= 2)
            pids = children_of(server.process.pid)
            assert len(pids) == 2
            end()
            until(lambda pids=pids: not any(is_running(pid) for pid in pids), 30)
            server.start()
            server.wait()


def test_an_interrupt_leaves_the_study_or_cancels_it(tmp_path: Path) -> None:
    with served(tmp_path / "server", "--workers", "0") as server, server.client() as client:
        for number, options, state in (
            (signal.SIGINT, (), "queued"),
            (signal.SIGTERM, ("--cancel-on-interrupt",), "cancelled"),
        ):
            ending = tmp_path / "ending.json"
            given = command("submit", "--spec", str(JOB), "--wait", "--result-file", str(ending), *options)
            process = subprocess.Popen(
                given, env=server.variables, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            n = len(client.studies.list().items)
            until(lambda n=n: len(client.studies.list().items) > n)
            time.sleep(1.0)
            process.send_signal(number)
            assert process.wait(30) == 130
            document = json.loads(ending.read_text())
            assert document["exit_code"] == 130
            assert client.studies.get(document["study"]["id"]).state == state


def test_a_study_cancelled_by_somebody_else_ends_the_wait_with_six_and_what_it_had_found(tmp_path: Path) -> None:
    files = write(tmp_path, conv_net(), n=40_000)
    with served(tmp_path / "server") as server, server.client() as client:
        out, ending = tmp_path / "out", tmp_path / "ending.json"
        options = ("--target", "j6m", "--wait", "--output", str(out), "--result-file", str(ending))
        given = command("submit", *files.arguments, *options)
        process = subprocess.Popen(given, env=server.variables, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(lambda: any(one.phase in ("sensitivity", "search") for one in client.studies.list().items))
        (study,) = client.studies.list().items
        client.studies.cancel(study.id)
        assert process.wait(120) == 6
        document = json.loads(ending.read_text())
        assert (document["exit_code"], document["study"]["state"]) == (6, "cancelled")
        assert json.loads((out / "result.json").read_text()) == document["result"]
        assert document["result"]["stopped"] == "cancel"


def test_no_auth_is_for_this_machine_only(tmp_path: Path) -> None:
    given = command("serve", "--no-auth", "--host", "0.0.0.0", "--data-dir", str(tmp_path))
    done = subprocess.run(given, env=environment({}), capture_output=True, text=True, check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "--no-auth" in done.stderr
    with served(tmp_path / "server", "--no-auth", "--workers", "0") as server:
        assert server.key == ""
        with Client(server.url) as client:
            assert client.server.version().api == "v1"


def test_a_second_server_at_the_same_address_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "server", "--workers", "0") as server:
        second = Served(tmp_path / "second", server.port)
        second.folder.mkdir()
        second.start()
        assert second.process is not None
        assert second.process.wait(60) == 2
        assert "cannot be listened on" in second.log
