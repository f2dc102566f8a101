"""Studies on both databases."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from sqlalchemy.exc import IntegrityError

from service.store.db import blobs, events, items, studies, trials
from service.store.db.engine import Database
from service.store.db.errors import BadCursorError, MissingBlobError
from service.store.db.schema import STUDY_STATES, TERMINAL
from service.store.db.schema import studies as table
from service.store.db.studies import MOVES, StudyFilter
from tests.service.store.db.rows import OTHER, blob, digest, item, set_back, study, tenant, trial


def test_a_study_reads_as_it_was_stored_with_floats_that_stay_floats(database: Database) -> None:
    spec = {"search": {"task_macs": 2.0e10}, "goal": [-0.0, 1e-320, 0.1], "text": "\ud800 \0 é", "none": None}
    with database.writing() as connection:
        made = study(connection, tenant(connection), spec=spec, name="n", limits={"max_seconds": 1.5}, timeout_s=2.5)
    with database.reading() as connection:
        found = studies.load(connection, made.id)
    assert found == made
    assert repr(found.spec) == repr(spec)
    assert (found.state, found.version, found.attempts, found.problem, found.result) == ("queued", 1, 0, None, None)
    assert found.created.utcoffset() is not None
    assert found.created.utcoffset().total_seconds() == 0


def test_another_tenants_study_is_not_there(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        found = study(connection, mine)
        assert studies.get(connection, mine, found.id) == found
        assert studies.get(connection, theirs, found.id) is None
        assert studies.page(connection, theirs).rows == ()
        assert not studies.delete(connection, theirs, found.id)
        assert studies.get(connection, mine, OTHER) is None


@pytest.mark.parametrize("state", STUDY_STATES)
def test_a_terminal_study_moves_nowhere_and_others_only_along_the_table(sqlite_database: Database, state: str) -> None:
    with sqlite_database.writing() as connection:
        found = study(connection, tenant(connection))
        connection.execute(table.update().values(state=state))
        for to in STUDY_STATES:
            if to not in MOVES[state]:
                with pytest.raises(ValueError, match=rf"cannot go from '{state}' to '{to}'"):
                    studies.transition(connection, found.id, expect={state}, to=to)
    assert (MOVES[state] == frozenset()) == (state in TERMINAL)


def test_a_move_stamps_times_once_and_counts_versions(database: Database) -> None:
    with database.writing() as connection:
        made = study(connection, tenant(connection))
        running = studies.transition(connection, made.id, expect={"queued"}, to="running")
        paused = studies.transition(connection, made.id, expect={"running"}, to="paused")
        again = studies.transition(connection, made.id, expect={"paused", "queued"}, to="running")
        changes = {"outcome": "met", "result": {"cost": 1.0}, "phase": None}
        done = studies.transition(connection, made.id, expect={"running"}, to="succeeded", changes=changes)
    assert running is not None
    assert paused is not None
    assert again is not None
    assert done is not None
    assert running.started == again.started
    assert running.finished is None
    assert done.finished >= done.started >= made.created
    assert [one.version for one in (made, running, paused, again, done)] == [1, 2, 3, 4, 5]
    assert (done.outcome, done.result, done.is_terminal) == ("met", {"cost": 1.0}, True)


def test_a_move_from_another_state_or_version_does_nothing(database: Database) -> None:
    with database.writing() as connection:
        made = study(connection, tenant(connection))
        assert studies.transition(connection, made.id, expect={"running"}, to="paused") is None
        assert studies.transition(connection, made.id, expect={"queued"}, to="paused", version=9) is None
        assert studies.transition(connection, OTHER, expect={"queued"}, to="paused") is None
        assert studies.load(connection, made.id) == made
        assert len(events.after(connection, tenant_id=made.tenant_id)) == 1


def test_of_two_moves_at_once_one_wins(database: Database) -> None:
    with database.writing() as connection:
        made = study(connection, tenant(connection))
    barrier, won = threading.Barrier(4), []

    def move(to: str) -> None:
        barrier.wait()
        with database.writing() as connection:
            won.append(studies.transition(connection, made.id, expect={"queued"}, to=to))

    threads = [threading.Thread(target=move, args=(to,)) for to in ("running", "paused", "cancelled", "running")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in won) == 1


def test_only_columns_that_may_change_can_be_set(sqlite_database: Database) -> None:
    with sqlite_database.writing() as connection:
        made = study(connection, tenant(connection))
        with pytest.raises(ValueError, match=r"\['tenant_id'\] of a study cannot be set"):
            studies.update(connection, made.id, tenant_id="x")
        assert studies.update(connection, made.id, phase="search", progress={"done": 1}, seconds=3.5)
        assert not studies.update(connection, made.id, expect={"running"}, phase="x")
        assert not studies.update(connection, OTHER, phase="x")
        found = studies.load(connection, made.id)
    assert found is not None
    assert (found.phase, found.progress, found.seconds, found.version) == ("search", {"done": 1}, 3.5, 2)


def test_attempts_are_counted(database: Database) -> None:
    with database.writing() as connection:
        made = study(connection, tenant(connection))
        assert [studies.add_attempt(connection, made.id) for _ in range(3)] == [1, 2, 3]
        assert studies.add_attempt(connection, OTHER) == 0


def test_pages_hold_every_study_once_newest_first_also_while_others_are_added(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        made = [study(connection, mine).id for _ in range(7)]
        study(connection, theirs)
        before = sorted(made, reverse=True)
    seen: list[str] = []
    cursor = None
    while True:
        with database.writing() as connection:
            page = studies.page(connection, mine, cursor=cursor, limit=3)
            study(connection, mine)
        seen += [line.id for line in page.rows]
        cursor = page.next
        if cursor is None:
            break
    assert seen == before
    assert all(a > b for a, b in pairwise(seen))


def test_a_page_that_is_just_full_has_no_next(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        study(connection, mine)
        study(connection, mine)
        assert studies.page(connection, mine, limit=2).next is None
        assert studies.page(connection, mine, limit=1).next is not None


def test_a_list_is_filtered(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        one, two = study(connection, mine, target="j6p", name="a"), study(connection, mine)
        studies.transition(connection, two.id, expect={"queued"}, to="running")

        def ids(wanted: StudyFilter) -> list[str]:
            return [line.id for line in studies.page(connection, mine, wanted).rows]

        assert ids(StudyFilter(states={"running", "failed"})) == [two.id]
        assert ids(StudyFilter(target="j6p")) == [one.id]
        assert ids(StudyFilter(name="a")) == [one.id]
        assert ids(StudyFilter(outcome="met")) == []
        assert ids(StudyFilter(spec_digest=one.spec_digest)) == [two.id, one.id]


def test_a_cursor_of_another_list_is_refused(sqlite_database: Database) -> None:
    with sqlite_database.writing() as connection:
        mine = tenant(connection)
        made = study(connection, mine)
        trials.put(connection, study_id=made.id, tenant_id=mine, rows=[trial(1), trial(2)])
        cursor = trials.page(connection, mine, made.id, limit=1).next
        with pytest.raises(BadCursorError, match="Start again without a cursor"):
            studies.page(connection, mine, cursor=cursor)


def test_an_ended_study_is_deleted_with_everything_below_it(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        needed = blob(connection, mine, "model")
        made = study(connection, mine, inputs=[needed])
        result = item("i", blobs={"a": blob(connection, mine, "array")})
        items.put(connection, study_id=made.id, tenant_id=mine, result=result)
        trials.put(connection, study_id=made.id, tenant_id=mine, rows=[trial(1)])
        assert not studies.delete(connection, mine, made.id)
        assert blobs.needed_by(connection, made.id) == {needed, digest("array")}
        studies.transition(connection, made.id, expect={"queued"}, to="cancelled")
        assert studies.delete(connection, mine, made.id)
    with database.reading() as connection:
        assert studies.load(connection, made.id) is None
        assert items.read(connection, made.id) == {}
        assert trials.count(connection, made.id) == 0
        assert events.after(connection, tenant_id=mine) == ()
        assert blobs.needed_by(connection, made.id) == frozenset()


def test_a_study_needs_its_inputs(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        secret = blob(connection, theirs, "theirs")
        for missing in (secret, digest("nobody's")):
            with pytest.raises(MissingBlobError, match=f"There is no blob sha256:{missing}"):
                study(connection, mine, inputs=[missing])
        assert studies.count_by_state(connection)["queued"] == 0


def test_counts_and_the_age_of_the_queue(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        assert studies.queue_age_s(connection) == 0.0
        _, two = study(connection, mine), study(connection, mine)
        set_back(connection, table, "created", 60.0)
        studies.transition(connection, two.id, expect={"queued"}, to="cancelled")
        assert 60.0 <= studies.queue_age_s(connection) < 90.0
        assert studies.n_open(connection, mine) == 1
        assert studies.dispatched_in(connection, {"queued"}) == ()  # it waits for its turn
        counts = studies.count_by_state(connection)
    assert {state: n for state, n in counts.items() if n} == {"queued": 1, "cancelled": 1}
    assert set(counts) == set(STUDY_STATES)


def test_ended_studies_are_found_by_age(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        old, _ = study(connection, mine), study(connection, mine)
        studies.transition(connection, old.id, expect={"queued"}, to="failed", changes={"error": {"code": "x"}})
        assert studies.ended(connection, 1000.0) == ()
        set_back(connection, table, "finished", 2000.0)
        assert [line.id for line in studies.ended(connection, 1000.0)] == [old.id]


def test_the_database_itself_refuses_an_unknown_state(database: Database) -> None:
    with database.writing() as connection:
        study(connection, tenant(connection))
    with database.engine.connect() as connection, pytest.raises(IntegrityError, match="ck_studies_state"):
        connection.execute(table.update().values(state="dreaming"))
