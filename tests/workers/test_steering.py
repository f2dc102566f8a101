"""Cancelled and paused in every phase: the evaluator is gone at once, and a paused study goes on to the same answer."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from tests.service.databases import new_url
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.workers.installation import TERMINAL, installation, is_running

pytestmark = pytest.mark.slow
TOP1 = [{"metric": "top1", "max_drop": 0.01}]
PHASES = ("validate", "baseline", "sensitivity", "search", "export", "report")
WAIT_S = 240.0


@pytest.fixture(scope="module")
def answer(small):
    run = MemoryRun(local_problem(small, goal=TOP1))
    return without_times(run.document(run.run()))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def busy(request, tmp_path_factory):
    """An installation with one worker."""
    folder = tmp_path_factory.mktemp("steering")
    with new_url(request.param) as url, installation(folder, url) as service:
        service.start()
        yield service


TRIES = 40


def caught_in(service, files, phase, *, to):
    """Hold the evaluator of a study still in one phase and steer it; return the study and the held process ids.

    A phase may be over before this looks: then the study ends as it likes, and the next one is tried.
    """
    for _ in range(TRIES):
        study = service.submit(files, goal=TOP1)
        service.wait(study, WAIT_S, until=lambda row: row.phase == phase or row.state in TERMINAL, poll_s=0.002)
        held = service.workers[0].children()
        send(held, signal.SIGSTOP)
        row = service.study(study)
        if row.phase == phase and service.move(study, expect=["running"], to=to) is not None:
            return study, held
        send(held, signal.SIGCONT)
        service.wait(study, WAIT_S)
    raise AssertionError(f"no study was ever caught in {phase}")


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def gone(pids, seconds):
    deadline = time.monotonic() + seconds
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("phase", PHASES)
def test_a_cancelled_study_ends_with_its_evaluator_and_delivers_the_best_so_far(busy, small, answer, phase):
    study, held = caught_in(busy, small, phase, to="cancelling")
    assert gone(held, WAIT_S)
    row = busy.wait(study, WAIT_S)
    assert (row.state, row.error) == ("cancelled", None)
    document = busy.result(study)
    assert (row.stopped, row.outcome) == (document["stopped"], document["outcome"])
    if phase in ("export", "report"):  # the search was over
        assert {**document, "stopped": None, "minimal": None} == {**answer, "minimal": None}
        assert busy.artifact(study, "model.qdq.onnx")
    else:
        assert document["stopped"] == "cancel"
        assert document["search"]["evaluations"] <= answer["search"]["evaluations"]
    if phase in ("validate", "baseline"):
        assert document["assignment"] == {}
    assert set(busy.stored(study).values()) <= {1}
    assert not busy.again(study)


def test_a_worker_killed_while_a_cancelled_study_delivers_is_replaced(busy, small):
    for _ in range(TRIES):
        study, held = caught_in(busy, small, "search", to="cancelling")
        assert gone(held, WAIT_S)
        busy.wait(study, WAIT_S, until=lambda row: "delivers" in row.progress or row.state in TERMINAL, poll_s=0.002)
        send(busy.workers[0].children(), signal.SIGSTOP)
        if busy.study(study).state == "cancelling":
            break
        send(busy.workers[0].children(), signal.SIGCONT)
    assert busy.study(study).state == "cancelling"
    busy.workers.pop().kill()
    busy.start()
    assert busy.wait(study, WAIT_S).state == "cancelled"
    assert busy.result(study)["stopped"] == "cancel"


@pytest.mark.parametrize("phase", PHASES)
def test_a_paused_study_goes_on_to_the_same_answer(busy, small, answer, phase):
    study, held = caught_in(busy, small, phase, to="paused")
    assert gone(held, WAIT_S)
    before = set(busy.stored(study))
    time.sleep(1.0)
    assert set(busy.stored(study)) == before  # paused means paused
    assert busy.study(study).state == "paused"
    assert busy.move(study, expect=["paused"], to="queued") is not None
    row = busy.wait(study, WAIT_S)
    assert (row.state, row.error) == ("succeeded", None)
    assert busy.result(study) == answer
    assert set(busy.stored(study).values()) == {1}
    assert not busy.again(study)


def test_paused_and_resumed_at_once_it_still_runs_once(busy, small, answer):
    study = busy.submit(small, goal=TOP1)
    for _ in range(3):
        busy.wait(study, WAIT_S, until=lambda row: row.state == "running", poll_s=0.002)
        assert busy.move(study, expect=["running"], to="paused") is not None
        assert busy.move(study, expect=["paused"], to="queued") is not None
    assert busy.wait(study, WAIT_S).state == "succeeded"
    assert busy.result(study) == answer
    assert not busy.again(study)


def test_a_study_beyond_its_time_limit_fails_and_says_so(busy, long):
    study = busy.submit(long, goal=TOP1, run={"timeout_s": 1.0})
    busy.wait(study, WAIT_S, until=lambda row: row.state == "running")
    send(busy.workers[0].children(), signal.SIGSTOP)
    row = busy.wait(study, WAIT_S)
    assert (row.state, row.error["code"], row.error["blame"]) == ("failed", "timeout", "limit")
    assert "1 s" in row.error["message"]
