"""Events, workers, webhooks and their messages, on both databases."""

from __future__ import annotations

import random
import threading
import time

import pytest

from service.store.db import deliveries, events, studies, webhooks, workers
from service.store.db.engine import Database
from service.store.db.schema import deliveries as delivery_table
from service.store.db.schema import events as event_table
from service.store.db.schema import workers as worker_table
from tests.service.store.db.rows import OTHER, set_back, study, tenant


def test_events_are_read_after_the_last_one_seen(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        one, two, hidden = study(connection, mine), study(connection, mine), study(connection, theirs)
        for n in range(3):
            for of in (one, two, hidden):
                data = {"n": n}
                events.append(connection, study_id=of.id, tenant_id=of.tenant_id, kind="progress", data=data)
        all_mine = events.after(connection, tenant_id=mine)
        assert [event.study_id for event in all_mine] == [one.id, two.id] * 4
        assert sorted(event.id for event in all_mine) == [event.id for event in all_mine]
        of_one = events.after(connection, tenant_id=mine, study_id=one.id)
        assert [event.kind for event in of_one] == ["state", "progress", "progress", "progress"]
        rest = events.after(connection, tenant_id=mine, study_id=one.id, after_id=of_one[1].id)
        assert rest == of_one[2:]
        assert events.after(connection, tenant_id=mine, after_id=0, limit=2) == all_mine[:2]
        assert events.after(connection, tenant_id=theirs, study_id=one.id) == ()
        assert events.after(connection, tenant_id=mine, after_id=10**30) == ()
        assert events.last_id(connection, tenant_id=mine, study_id=one.id) == of_one[-1].id
        assert events.last_id(connection, tenant_id=OTHER) == 0


def test_an_identifier_is_never_given_twice(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
        last = events.last_id(connection, tenant_id=mine.tenant_id)
        studies.transition(connection, mine.id, expect={"queued"}, to="cancelled")
        studies.delete(connection, mine.tenant_id, mine.id)
        again = study(connection, mine.tenant_id)
        assert events.after(connection, tenant_id=mine.tenant_id)[0].id > last + 1
        assert again.version == 1


def test_a_reader_that_goes_on_after_the_last_event_misses_none(database: Database) -> None:
    """Transactions that commit in another order than they began must not hide an event behind a later one."""
    with database.writing() as connection:
        mine = study(connection, tenant(connection))
    written: list[int] = []
    dice = random.Random(1)

    def write() -> None:
        for _ in range(15):
            with database.writing() as connection:
                time.sleep(dice.uniform(0, 0.002))
                written.append(
                    events.append(connection, study_id=mine.id, tenant_id=mine.tenant_id, kind="progress", data={})
                )
                time.sleep(dice.uniform(0, 0.002))

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    while True:
        is_last = not any(writer.is_alive() for writer in writers)
        with database.reading() as connection:
            behind = seen[-1] if seen else 0
            seen += [one.id for one in events.after(connection, tenant_id=mine.tenant_id, after_id=behind)]
        if is_last:
            break
    assert set(written) <= set(seen)
    assert len(seen) == len(written) + 1  # and the one of the submission


def test_old_events_are_forgotten(database: Database) -> None:
    with database.writing() as connection:
        study(connection, tenant(connection))
        assert events.forget_old(connection, 60.0) == 0
        set_back(connection, event_table, "created", 61.0)
        assert events.forget_old(connection, 60.0) == 1


BEAT = {"host": "h", "pid": 1, "version": "engine-1", "slots": 2}


def test_a_worker_is_alive_by_the_clock_of_the_database(database: Database) -> None:
    with database.writing() as connection:
        workers.beat(connection, executor_id="old", **BEAT)
        workers.beat(connection, executor_id="new", **BEAT)
        set_back(connection, worker_table, "seen", 50.0)
        assert workers.alive(connection, 45.0) == set()
        started = {one.executor_id: one.started for one in workers.listing(connection)}
        workers.beat(connection, executor_id="new", **{**BEAT, "slots": 3}, detail={"task": 1})
        assert workers.alive(connection, 45.0) == {"new"}
        assert workers.alive(connection, 60.0) == {"new", "old"}
        new, old = workers.listing(connection)
    assert (new.executor_id, new.slots, new.detail, new.started) == ("new", 3, {"task": 1}, started["new"])
    assert 0.0 <= new.silent_s < 10.0
    assert 50.0 <= old.silent_s < 70.0


def test_a_stopped_or_removed_worker_is_not_alive(database: Database) -> None:
    with database.writing() as connection:
        for name in ("a", "b", "c"):
            workers.beat(connection, executor_id=name, **BEAT)
        workers.beat(connection, executor_id="a", **BEAT, state="stopped")
        workers.beat(connection, executor_id="b", **BEAT, state="draining")
        workers.remove(connection, "c")
        assert workers.alive(connection, 45.0) == {"b"}
        set_back(connection, worker_table, "seen", 100.0)
        assert workers.forget(connection, 99.0) == 2
        assert workers.listing(connection) == ()


def test_webhooks_hear_what_they_want(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        every = webhooks.add(connection, tenant_id=mine, url="https://a", secrets=["s1"])
        some = webhooks.add(connection, tenant_id=mine, url="https://b", secrets=["s2"], kinds=["state"])
        assert webhooks.listing(connection, mine, kind="state") == (every, some)
        assert webhooks.listing(connection, mine, kind="trial") == (every,)
        assert webhooks.listing(connection, theirs) == ()
        assert webhooks.get(connection, theirs, every.id) is None
        assert webhooks.update(connection, theirs, every.id, active=False) is None
        changed = webhooks.update(connection, mine, every.id, active=False, secrets=["s3", "s1"])
        assert changed is not None
        assert (changed.secrets, changed.active) == (("s3", "s1"), False)
        assert webhooks.listing(connection, mine, kind="state") == (some,)
        with pytest.raises(ValueError, match=r"\['created'\] of a webhook cannot be set"):
            webhooks.update(connection, mine, every.id, created=None)
        assert not webhooks.delete(connection, theirs, some.id)
        assert webhooks.delete(connection, mine, some.id)
        assert webhooks.get(connection, mine, some.id) is None
    assert "s3" not in repr(changed)


def test_a_message_is_taken_by_one_and_tried_again_when_its_lease_ends(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        hook = webhooks.add(connection, tenant_id=mine, url="https://a", secrets=["s"])
        where = {"webhook_id": hook.id, "tenant_id": mine, "kind": "state"}
        first = deliveries.add(connection, **where, payload={"n": 1})
        second = deliveries.add(connection, **where, payload={"n": 2})
        taken = deliveries.take(connection, lease_s=30.0)
        assert {one.id for one in taken} == {first, second}
        assert deliveries.take(connection, lease_s=30.0) == ()
        deliveries.done(connection, first, 204)
        deliveries.failed(connection, second, retry_in_s=0.0, error="timeout")
        (again,) = deliveries.take(connection, lease_s=30.0)
        assert (again.id, again.attempts, again.error) == (second, 2, "timeout")
        deliveries.failed(connection, second, retry_in_s=None, error="gone", status=410)
        states = {one.id: (one.state, one.status) for one in deliveries.page(connection, mine, hook.id).rows}
        assert states == {first: ("delivered", 204), second: ("failed", 410)}
        assert deliveries.page(connection, OTHER, hook.id).rows == ()
        assert not deliveries.again(connection, OTHER, second)
        assert deliveries.again(connection, mine, second)
        assert [one.id for one in deliveries.take(connection, lease_s=0.0)] == [second]
        set_back(connection, delivery_table, "finished", 100.0)
        assert deliveries.forget(connection, 60.0) == 1
