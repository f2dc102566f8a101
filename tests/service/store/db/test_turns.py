"""Tenants take turns by weight; inside a tenant priority counts, then age; limits hold a tenant's studies back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.db import studies, tenants, turns
from service.store.db.engine import Database
from service.store.db.tenants import Defaults
from service.store.db.turns import Share
from tests.service.store.db.rows import study

NO_LIMITS = Defaults(max_running=None, day_seconds=None)
WEIGHTS = {"one": 1.0, "two": 1.0, "three": 2.0, "four": 4.0}
PER_TENANT = 50


def share(name: str, **more: float | None) -> Share:
    values = {"weight": 1.0, "max_running": None, "day_seconds": None, "running": 0, "waiting": 50, "used_s": 0.0}
    return Share(**{"tenant_id": name, "name": name, "last_start": 0.0, **values, **more})  # type: ignore[arg-type]


def queue(database: Database, names: Mapping[str, float], n: int) -> dict[str, str]:
    """``n`` studies of every tenant, all of the first tenant submitted first; return tenant id to name."""
    found = {}
    with database.writing() as connection:
        for name, weight in names.items():
            tenant = tenants.ensure(connection, name)
            tenants.set_limits(connection, tenant.id, weight=weight)
            found[tenant.id] = name
            for _ in range(n):
                study(connection, tenant.id)
    return found


def start_all(database: Database, names: Mapping[str, str], capacity: int) -> list[str]:
    """Names of the tenants in the order in which their studies start, each ending before the next one starts."""
    order = []
    while True:
        with database.writing() as connection:
            chosen = turns.take_next(connection, NO_LIMITS, capacity)
            if chosen is None:
                return order
            order.append(names[chosen.tenant_id])
            studies.transition(connection, chosen.id, expect={"queued"}, to="cancelled")


def within_weights(order: Sequence[str], weights: Mapping[str, float], tolerance: float) -> bool:
    """Whether every tenant that still waits has its share of the starts so far, give or take ``tolerance`` and one."""
    total = sum(weights.values())
    counts: Counter[str] = Counter()
    for n, name in enumerate(order, 1):
        counts[name] += 1
        for other, weight in weights.items():
            if abs(counts[other] - n * weight / total) > tolerance * n + 1:
                return False
    return True


def test_four_tenants_with_fifty_studies_each_start_within_their_weights(database: Database) -> None:
    names = queue(database, WEIGHTS, PER_TENANT)
    order = start_all(database, names, capacity=4)
    assert Counter(order) == dict.fromkeys(WEIGHTS, PER_TENANT)
    while_all_wait = order[: int(PER_TENANT * sum(WEIGHTS.values()) / max(WEIGHTS.values()))]
    assert within_weights(while_all_wait, WEIGHTS, 0.1)
    alone = [name for name in WEIGHTS for _ in range(PER_TENANT)]
    assert not within_weights(alone[: len(while_all_wait)], WEIGHTS, 0.1), "first come, first served is not fair"


@given(
    st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 10.0]), min_size=2, max_size=6),
    st.integers(min_value=20, max_value=200),
)
def test_whatever_the_weights_no_tenant_is_more_than_one_start_ahead_or_behind(weights: list[float], n: int) -> None:
    shares = [share(f"t{k}", weight=weight, waiting=10_000) for k, weight in enumerate(weights)]
    order = turns.order(shares, n)
    counts = Counter(order)
    for mine in shares:
        for other in shares:  # Goyal, Vin and Cheng: the difference of normalised service is bounded by one each
            lag = abs(counts[mine.tenant_id] / mine.weight - counts[other.tenant_id] / other.weight)
            assert lag <= 1 / mine.weight + 1 / other.weight + 1e-6


def test_who_asked_for_nothing_has_saved_nothing_up() -> None:
    busy = share("busy", last_start=1000.0)
    idle = share("idle", last_start=3.0)
    assert Counter(turns.order([busy, idle], 20)) == {"busy": 10, "idle": 10}


def test_inside_a_tenant_priority_counts_and_then_age(database: Database) -> None:
    with database.writing() as connection:
        tenant = tenants.ensure(connection, "acme").id
        added = [study(connection, tenant).id for _ in range(4)]
        studies.update(connection, added[2], priority=5)
        studies.update(connection, added[0], priority=-5)
        assert turns.waiting_of(connection, tenant, 10) == (added[2], added[1], added[3], added[0])
        taken = [turns.take_next(connection, NO_LIMITS, 10) for _ in range(5)]
    assert [one and one.id for one in taken] == [added[2], added[1], added[3], added[0], None]


def test_a_priority_of_one_tenant_takes_nothing_from_another(database: Database) -> None:
    with database.writing() as connection:
        loud, quiet = (tenants.ensure(connection, name).id for name in ("loud", "quiet"))
        for _ in range(5):
            studies.update(connection, study(connection, loud).id, priority=100)
            study(connection, quiet)
        starts = [turns.take_next(connection, NO_LIMITS, 100) for _ in range(6)]
    assert Counter(one.tenant_id for one in starts if one) == {loud: 3, quiet: 3}


@pytest.mark.parametrize(
    ("limits", "why"),
    [({"max_running": 2, "running": 2}, "running"), ({"day_seconds": 60.0, "used_s": 60.0}, "seconds")],
)
def test_a_tenant_at_its_limit_waits_and_others_go_on(limits: dict[str, float], why: str) -> None:
    held, free = replace(share("a"), **limits), share("b")
    assert held.held_by == why
    assert set(turns.order([held, free], 1)) == {"b"}
    assert turns.next_tenant([held]) is None


def test_limits_of_the_settings_hold_for_tenants_without_their_own(database: Database) -> None:
    with database.writing() as connection:
        mine, other = (tenants.ensure(connection, name).id for name in ("a", "b"))
        tenants.set_limits(connection, other, max_running=3)
        for tenant in (mine, other):
            for _ in range(5):
                study(connection, tenant)
        while turns.take_next(connection, Defaults(max_running=1, day_seconds=None), 100) is not None:
            pass
        running = {one.tenant_id: one.running for one in turns.read_shares(connection, NO_LIMITS)}
    assert running == {mine: 1, other: 3}


def test_seconds_of_the_day_are_counted_and_hold_the_tenant_back(database: Database) -> None:
    limits = Defaults(max_running=None, day_seconds=10.0)
    with database.writing() as connection:
        tenant = tenants.ensure(connection, "acme").id
        study(connection, tenant)
        turns.spend(connection, tenant, 4.0)
        assert not turns.is_spent(connection, tenant, limits)
        turns.spend(connection, tenant, 6.0)
        assert turns.is_spent(connection, tenant, limits)
        assert turns.take_next(connection, limits, 10) is None
        assert turns.forget_days(connection, "9999-01-01") == 1
        assert turns.take_next(connection, limits, 10) is not None


def test_no_more_is_given_than_the_workers_take(database: Database) -> None:
    queue(database, {"a": 1.0}, 5)
    with database.writing() as connection:
        given_away = [turns.take_next(connection, NO_LIMITS, 3) for _ in range(5)]
    assert [one is not None for one in given_away] == [True, True, True, False, False]


def test_many_that_choose_at_once_give_no_study_twice(database: Database) -> None:
    queue(database, {"a": 1.0, "b": 1.0}, 20)

    def take(_: int) -> tuple[str, str] | None:
        with database.writing() as connection:
            found = turns.take_next(connection, NO_LIMITS, 100)
        return None if found is None else (found.id, found.tenant_id)

    with ThreadPoolExecutor(4) as threads:
        taken = [one for one in threads.map(take, range(30)) if one is not None]
    assert len({one for one, _ in taken}) == 30
    assert set(Counter(tenant for _, tenant in taken).values()) == {15}
