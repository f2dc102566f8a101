"""Whatever dies: nothing accepted is lost, no stored item is computed again, the answer stays the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time

import pytest
from sqlalchemy import text

from service.store.db import items, tasks, workers
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.workers.installation import TERMINAL, TRIES, is_running

pytestmark = pytest.mark.slow
TOP1 = [{"metric": "top1", "max_drop": 0.01}]
WAIT_S = 240.0


@pytest.fixture(scope="module")
def answer(small):
    run = MemoryRun(local_problem(small, goal=TOP1))
    return without_times(run.document(run.run()))


def check(service, study, answer):
    """The study ended as if nothing had happened."""
    row = service.wait(study, WAIT_S)
    assert (row.state, row.error) == ("succeeded", None)
    assert service.result(study) == answer
    assert set(service.stored(study).values()) <= {1}  # a worker may die between storing a result and saying so
    assert not service.again(study)


def n_items(service, studies):
    with service.database.reading() as c:
        return sum(len(items.read(c, study)) for study in studies)


def holder(service, study):
    """The worker that computes a task of the study, None if none does."""
    with service.database.reading() as c:
        names = [task.worker for task in tasks.listing(c, study) if task.state == "running"]
    pids = {int(name.rsplit("-", 2)[1]) for name in names if name}
    return next((one for one in service.workers if one.process.pid in pids and one.process.poll() is None), None)


def begun(service, files, more_than=0):
    """Put studies in line until one is being computed and some of its items are stored; return it and its worker."""
    found = {}

    def holds(row):
        worker = holder(service, row.id) if n_items(service, [row.id]) > more_than else None
        found[row.id] = worker
        return worker is not None

    study = service.caught(files, holds, goal=TOP1)
    return study, found[study]


def unfinished(service, studies):
    return [study for study in studies if service.study(study).state not in TERMINAL]


def test_workers_killed_at_twenty_random_moments(service, small, answer):
    dice = random.Random(7)
    studies = []
    service.start(3)
    service.wait_for_workers(3)
    for _ in range(20):
        while len(unfinished(service, studies)) < 3:
            studies.append(service.submit(small, goal=TOP1))
        before = n_items(service, studies)
        deadline = time.monotonic() + dice.uniform(0.1, 6.0)
        while time.monotonic() < deadline and n_items(service, studies) < before + dice.randint(1, 6):
            time.sleep(0.02)
        time.sleep(dice.uniform(0.0, 0.3))
        alive = [one for one in service.workers if one.process.poll() is None]
        busy = [one for study in studies if (one := holder(service, study)) is not None]
        victim = dice.choice(busy or alive)
        children = victim.processes()[1:]
        victim.kill()
        service.start()
        assert not any(_lasts(pid) for pid in children)
    for study in studies:
        check(service, study, answer)


def _lasts(pid, seconds=5.0):
    """Whether a process is still there after some time."""
    deadline = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False


def test_everything_stopped_and_started_again(service, small, answer):
    service.start(2)
    waiting = service.submit(small, goal=TOP1)
    study, _ = begun(service, small, more_than=3)
    for worker in service.workers:
        worker.kill()
    service.start()
    for one in (study, waiting):
        check(service, one, answer)


def test_a_worker_that_slept_beyond_its_lease_changes_nothing_when_it_wakes(service, small, answer):
    service.start()
    for _ in range(TRIES):
        study, sleeper = begun(service, small, more_than=2)
        put_to_sleep(service, sleeper)
        if service.study(study).state == "running":
            break
        sleeper.signal(signal.SIGCONT)
    assert service.study(study).state == "running"
    other = service.start()
    service.wait(study, WAIT_S, until=lambda row: holder(service, study) is other or row.state == "succeeded")
    sleeper.signal(signal.SIGCONT)
    check(service, study, answer)
    assert sleeper.process.poll() is None
    again = service.submit(small, goal=TOP1)  # and it still works
    other.kill()
    check(service, again, answer)


def test_a_study_that_was_taken_and_never_begun_is_put_in_line_again(service, small, answer):
    worker = service.start()
    name = registered(service)
    put_to_sleep(service, worker)
    study = service.submit(small, goal=TOP1)
    schema = "" if service.database.is_sqlite else "dbos."
    with service.database.writing() as c:  # what a connection leaves behind that breaks after a claim
        taken = c.execute(
            text(
                f"UPDATE {schema}workflow_status SET status = 'PENDING', executor_id = :name "
                "WHERE workflow_uuid = :workflow AND status = 'ENQUEUED'"
            ),
            {"name": name, "workflow": f"{study}.1"},
        )
    assert taken.rowcount == 1
    worker.signal(signal.SIGCONT)
    check(service, study, answer)


def registered(service):
    """Name of the only worker."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with service.database.reading() as c:
            found = workers.listing(c)
        if found:
            return found[0].executor_id
        time.sleep(0.05)
    raise AssertionError(service.logs()[-4000:])


def put_to_sleep(service, worker):
    """Stop a worker between two transactions: one that sleeps with SQLite's only write lock stops everybody."""
    while True:
        worker.signal(signal.SIGSTOP)
        try:
            with service.database.engine.connect() as connection:
                driver = connection.connection.driver_connection
                if service.database.is_sqlite:
                    driver.execute("PRAGMA busy_timeout = 300")
                    driver.execute("PRAGMA query_only = OFF")
                    driver.execute("BEGIN IMMEDIATE")
                    driver.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            worker.signal(signal.SIGCONT)
            time.sleep(0.05)


def test_evaluators_killed_twice_are_replaced_and_the_third_time_the_study_fails(service, small, long, answer):
    worker = service.start()
    study = service.submit(long, goal=TOP1)
    for expected in (1, 2, 3):
        service.wait(study, WAIT_S, until=lambda row: holder(service, study) is not None)
        deadline = time.monotonic() + WAIT_S
        while service.study(study).attempts < expected and time.monotonic() < deadline:
            for pid in worker.children():
                kill(pid)
            time.sleep(0.3)
    row = service.wait(study, WAIT_S)
    assert (row.state, row.error["code"], row.attempts) == ("failed", "evaluator-died", 3)
    assert "SIGKILL" in row.error["message"]
    check(service, service.submit(small, goal=TOP1), answer)


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
