"""Tasks, items, trials, artifacts of a study, on both databases."""

from __future__ import annotations

import threading

import pytest

from service.store.db import artifacts, blobs, items, studies, tasks, trials
from service.store.db.engine import Database
from service.store.db.errors import MissingBlobError
from service.store.db.tasks import TaskPlan
from service.store.db.trials import ORDERS, TrialRow
from tests.service.store.db.rows import OTHER, blob, digest, item, study, tenant, trial


def plan(text: str) -> TaskPlan:
    return TaskPlan(digest=digest(text), kind="evaluate", label=text, n_items=2, payload={"items": [text]})


def test_tasks_keep_their_numbers_when_a_replay_proposes_them_again(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        where = {"study_id": mine.id, "tenant_id": mine.tenant_id}
        first = tasks.put(connection, **where, plans=[plan("a"), plan("b")])
        again = tasks.put(connection, **where, plans=[plan("b"), plan("c"), plan("a")])
        assert [(row.label, row.no) for row in first] == [("a", 1), ("b", 2)]
        assert [(row.label, row.no) for row in again] == [("b", 2), ("c", 3), ("a", 1)]
        assert [row.no for row in tasks.listing(connection, mine.id, mine.tenant_id)] == [1, 2, 3]
        assert tasks.listing(connection, mine.id, OTHER) == ()
        assert first[0].payload == {"items": ["a"]}


def test_a_task_that_was_taken_over_is_ended_by_its_last_attempt_only(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        tasks.put(connection, study_id=mine.id, tenant_id=mine.tenant_id, plans=[plan("a")])
        assert tasks.start(connection, mine.id, 1, "w1") == 1
        assert tasks.start(connection, mine.id, 1, "w2") == 2
        assert not tasks.finish(connection, mine.id, 1, "failed", attempt=1, error={"code": "late"})
        assert tasks.finish(connection, mine.id, 1, "succeeded", attempt=2)
        assert tasks.start(connection, mine.id, 7, "w1") is None
        found = tasks.get(connection, mine.id, 1)
    assert found is not None
    assert (found.state, found.worker, found.attempt, found.error) == ("succeeded", "w2", 2, None)
    assert found.started is not None
    assert found.finished is not None


def test_the_first_result_of_an_item_stays(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        where = {"study_id": mine.id, "tenant_id": mine.tenant_id}
        arrays = {"ranges": blob(connection, mine.tenant_id, "array")}
        first = item("a", blobs=arrays, data={"sum": 2.0e10, "bits": "0110", "tiny": -0.0})
        assert items.put(connection, **where, result=first)
        assert not items.put(connection, **where, result=item("a", data={"sum": 7}))
        assert items.put(connection, **where, result=item("b", kind="export", seconds=5.0, reused=True))
    with database.reading() as connection:
        found = items.read(connection, mine.id)
        assert list(found) == [digest("a"), digest("b")]
        assert found[digest("a")] == first
        assert repr(found[digest("a")].data) == repr(first.data)
        assert found[digest("b")].reused
        assert items.known(connection, mine.id, [digest("a"), digest("z")]) == {digest("a")}
        assert items.count_by_kind(connection, mine.id) == {"evaluate": 1, "export": 1}
        assert items.seconds(connection, mine.id) == 7.0
        assert items.seconds(connection, mine.id, without=("export", "confirm")) == 2.0


def test_an_item_cannot_name_a_blob_that_is_not_there(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        where = {"study_id": mine.id, "tenant_id": mine.tenant_id}
        with pytest.raises(MissingBlobError):
            items.put(connection, **where, result=item("a", blobs={"x": digest("lost")}))
        assert items.read(connection, mine.id) == {}


def test_ten_workers_storing_one_item_store_it_once(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        arrays = {"x": blob(connection, mine.tenant_id, "array"), "y": blob(connection, mine.tenant_id, "other")}
    barrier, stored = threading.Barrier(10), []

    def put(n: int) -> None:
        barrier.wait()
        with database.writing() as connection:
            result = item("a", seconds=float(n), blobs=arrays)
            stored.append(items.put(connection, study_id=mine.id, tenant_id=mine.tenant_id, result=result))

    threads = [threading.Thread(target=put, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stored) == [False] * 9 + [True]


def test_released_arrays_leave_the_results(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        result = item("a", blobs={"x": blob(connection, mine.tenant_id, "array")})
        items.put(connection, study_id=mine.id, tenant_id=mine.tenant_id, result=result)
        assert items.release_blobs(connection, mine.id) == 1
        assert blobs.needed_by(connection, mine.id) == frozenset()
        assert items.read(connection, mine.id) == {result.digest: result}


def all_trials(database: Database, mine: studies.Study, **wanted: object) -> list[TrialRow]:
    found: list[TrialRow] = []
    cursor = None
    while True:
        with database.reading() as connection:
            page = trials.page(connection, mine.tenant_id, mine.id, cursor=cursor, limit=4, **wanted)
        found += page.rows
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_trials_are_listed_in_every_order_by_pages(database: Database, order: str) -> None:
    rows = [trial(n, cost=1.0 + n % 3, verdict="met" if n % 2 else "not_met") for n in range(1, 12)]
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        trials.put(connection, study_id=mine.id, tenant_id=mine.tenant_id, rows=rows)
    key = (lambda row: (row.record.cost, row.record.no)) if "cost" in order else (lambda row: row.record.no)
    expected = sorted(rows, key=key, reverse=order.startswith("-"))
    assert all_trials(database, mine, order=order) == expected
    met = [row for row in expected if row.record.verdict == "met"]
    assert all_trials(database, mine, order=order, verdict="met") == met
    assert all_trials(database, mine, order=order, stage="none") == []


def test_a_trial_is_replaced_by_number_and_keeps_its_details_for_itself(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        where = {"study_id": mine.id, "tenant_id": mine.tenant_id}
        trials.put(connection, **where, rows=[])
        trials.put(connection, **where, rows=[trial(1, detail={"assignment": {"g0": "int8"}}), trial(2, cost=1)])
        created = trials.last_created(connection, mine.id)
        trials.put(connection, **where, rows=[trial(1, verdict="rejected", ratio=None, detail={"x": 1})])
        assert trials.last_created(connection, mine.id) == created
        assert trials.count(connection, mine.id) == 2
        assert trials.page(connection, mine.tenant_id, mine.id).rows[0].detail is None
        assert trials.get(connection, mine.tenant_id, mine.id, 1) == trial(
            1, verdict="rejected", ratio=None, detail={"x": 1}
        )
        assert trials.get(connection, OTHER, mine.id, 1) is None
        assert trials.page(connection, OTHER, mine.id).rows == ()


def test_artifacts_are_delivered_by_name_and_can_be_delivered_again(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        where = {"study_id": mine.id, "tenant_id": mine.tenant_id, "media_type": "application/json"}
        for text in ("old", "new"):
            found = blob(connection, mine.tenant_id, text)
            artifacts.put(connection, **where, name="result.json", digest=found, size=3)
        artifacts.put(connection, **where, name="horizon/q.json", digest=digest("old"), size=3)
        with pytest.raises(MissingBlobError):
            artifacts.put(connection, **where, name="x", digest=digest("lost"), size=3)
        names = [one.name for one in artifacts.listing(connection, mine.tenant_id, mine.id)]
        one = artifacts.get(connection, mine.tenant_id, mine.id, "result.json")
        assert artifacts.get(connection, OTHER, mine.id, "result.json") is None
    assert names == ["horizon/q.json", "result.json"]
    assert one is not None
    assert (one.digest, one.size) == (digest("new"), 3)
