"""A study put in line gives what the command line gives, on both databases."""

from __future__ import annotations

import json

import pytest

from service.store.db import artifacts, events, items, tasks, trials
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.study.small import write_binary
from tests.workers.installation import is_running

TOP1 = [{"metric": "top1", "max_drop": 0.01}]


@pytest.fixture(scope="module")
def answer(small):
    """What one process without any service gives."""
    run = MemoryRun(local_problem(small, goal=TOP1))
    return without_times(run.document(run.run()))


def test_a_study_gives_the_answer_of_the_command_line(service, small, answer):
    study = service.submit(small, goal=TOP1)
    service.start()
    row = service.wait(study)
    assert (row.state, row.outcome, row.error, row.stopped) == ("succeeded", "met", None, None)
    assert service.result(study) == answer
    assert row.result["metrics"] == answer["metrics"]
    with service.database.reading() as c:
        listed = trials.page(c, service.tenant, study).rows
        stored = items.read(c, study)
        ended = {task.state for task in tasks.listing(c, study)}
        told = events.after(c, tenant_id=service.tenant, study_id=study, limit=1000)
    assert [trial.record.no for trial in listed] == [*range(1, answer["search"]["evaluations"] + 1)]
    assert ended == {"succeeded"}
    assert row.seconds == pytest.approx(sum(r.seconds for r in stored.values() if r.kind not in _LATE), abs=1e-3)
    kinds = [event.kind for event in told]
    assert [e.data["state"] for e in told if e.kind == "state"] == ["queued", "running", "succeeded"]
    assert kinds.count("trial") == len(listed)
    phases = [event.data["phase"] for event in told if event.kind == "phase"]
    assert phases[0] == "validate"
    assert phases[-1] == "report"
    assert set(service.stored(study)) == set(stored)
    assert set(service.stored(study).values()) == {1}
    named = set(answer["artifacts"].values()) | {"result.json"}
    rows = {name for name in _delivered(service, study) if name.startswith("calibration/")}
    assert (set(_delivered(service, study)) - rows, bool(rows)) == (named, True)


def test_a_metric_of_records_gives_the_answer_of_the_command_line(service, tmp_path):
    files, goal = write_binary(tmp_path / "files"), [{"metric": "auc", "max_drop": 0.01}]
    study = service.submit(files, goal=goal)
    service.start()
    row = service.wait(study)
    assert (row.state, row.error) == ("succeeded", None)
    run = MemoryRun(local_problem(files, goal=goal))
    assert service.result(study) == without_times(run.document(run.run()))
    (found,) = row.result["metrics"]
    assert found["interval_method"] == "bootstrap"
    assert found["chosen"] >= found["required"] == pytest.approx(found["float"] - 0.01)


_LATE = ("export", "confirm", "unoptimized", "profile", "layers")


def _delivered(service, study):
    with service.database.reading() as c:
        return [file.name for file in artifacts.listing(c, service.tenant, study)]


def test_a_limit_on_evaluations_is_the_command_lines(service, small):
    study = service.submit(small, goal=TOP1, search={"max_evaluations": 2})
    service.start()
    row = service.wait(study)
    assert (row.state, row.stopped) == ("succeeded", "evaluations")
    document = json.loads(service.artifact(study, "result.json"))
    assert (document["stopped"], document["search"]["evaluations"]) == ("evaluations", 2)


def test_a_limit_on_seconds_delivers_what_there_is(service, small):
    study = service.submit(small, goal=TOP1, search={"max_seconds": 1e-6})
    service.start()
    row = service.wait(study)
    assert (row.state, row.stopped, row.outcome) == ("succeeded", "time", "not_met")
    assert service.result(study)["assignment"] == {}


@pytest.mark.slow
def test_large_rounds_are_shared_by_two_workers_and_give_the_same_answer(service, small, answer):
    service.start(2)
    service.wait_for_workers(2)
    study = service.submit(small, goal=TOP1, search={"task_macs": 2e6})
    service.wait(study)
    assert service.result(study) == answer
    with service.database.reading() as c:
        assert len({task.worker for task in tasks.listing(c, study)}) == 2


@pytest.mark.slow
def test_sigterm_hands_the_work_on_and_leaves_no_process(service, small, answer):
    first = service.start()
    study = service.caught(small, lambda row: row.phase in ("baseline", "sensitivity", "search"), goal=TOP1)
    children = first.processes()[1:]
    first.signal(15)
    assert first.process.wait(60) == 0
    assert not any(is_running(pid) for pid in children)
    service.start()
    assert service.wait(study).state == "succeeded"
    assert service.result(study) == answer
    assert set(service.stored(study).values()) == {1}
    assert not service.again(study)


@pytest.mark.slow
def test_a_higher_priority_goes_first(service, small):
    others = [service.submit(small, goal=TOP1) for _ in range(6)]
    urgent = service.submit(small, goal=TOP1, run={"priority": 9})
    service.start()
    service.wait(urgent, until=lambda row: row.state != "queued", poll_s=0.002)
    assert sum(service.study(study).state == "queued" for study in others) >= 2
    for study in others:
        if service.move(study, expect=["queued"], to="cancelled") is None:
            service.move(study, expect=["running"], to="cancelling")
    row = service.wait(urgent)
    assert (row.state, row.error) == ("succeeded", None)
    assert {service.wait(study).state for study in others} == {"cancelled"}
