"""Tables on as few samples as order the points: rounds, their limit, and what is recorded."""

from __future__ import annotations

from collections import Counter

import pytest

from search.precision import Format
from search.strategies.shared import probing
from search.strategies.shared.probing import FEWEST, MOST, RELIABLE, ROUND, errors_at, missed, tables
from search.strategies.shared.session import TrialSession
from search.targets.legalise import uniform
from tests.strategies.nets import J6M, chain
from tests.strategies.simulated import Simulated

NETWORK = chain(16)
NOISE = {("activation", t): 1e-4 * 1.3 ** (t % 12) for t in range(len(NETWORK.tensors))}


def measured(study, **options):
    """The tables of the lowest assignment, its trial, and the items they took."""
    setting = study.setting()
    session = TrialSession(setting)
    low = study.drive(session.evaluate(uniform(study.network, J6M, "low"), stage="low", full=True))
    before = len(study.asked)
    found = study.drive(tables(setting, low, "low", formats=(Format.INT8,), **options))
    return found, low, [item.work for item in study.asked[before:]]


def test_points_that_scatter_little_are_measured_on_the_bad_cases_alone():
    (table,), _, asked = measured(Simulated(NETWORK, J6M, NOISE, spread={"y0": 0.05}, n=20_000))
    assert table.agreement is not None
    assert table.agreement > RELIABLE
    assert {row.samples for row in table.rows} == {MOST}
    assert len(asked) == len(table.rows)
    assert {one.samples for one in asked} == {tuple(range(MOST))}  # the worst of the simulated base


def test_points_that_scatter_are_measured_on_further_samples_until_they_keep_their_order():
    (table,), _, asked = measured(Simulated(NETWORK, J6M, NOISE, spread={"y0": 1.0}, n=20_000))
    counts = {row.samples for row in table.rows}
    assert MOST in counts  # points without noise do not count
    assert max(counts) > MOST
    assert (max(counts) - MOST) % ROUND == 0
    assert table.agreement is not None
    assert table.agreement >= RELIABLE
    loud = {row.point for row in table.rows if row.samples > MOST}
    assert loud == {row.point for row in table.rows if row.value > 0}
    samples = Counter((one.point, sample) for one in asked for sample in one.samples)
    assert set(samples.values()) == {1}  # nothing twice


def test_further_samples_end_where_they_would_cost_too_much(monkeypatch):
    study = Simulated(NETWORK, J6M, NOISE, spread={"y0": 2.0}, n=200)
    (table,), _, asked = measured(study)
    assert table.agreement is not None
    assert table.agreement < RELIABLE
    further = sum(len(one.samples) for one in asked if one.samples[0] >= FEWEST)
    assert 0 < further <= probing.MOST_SETS * 200
    monkeypatch.setattr(probing, "MOST_SETS", 0.0)
    (bare,), _, _ = measured(Simulated(NETWORK, J6M, NOISE, spread={"y0": 2.0}, n=200))
    assert {row.samples for row in bare.rows} == {FEWEST}


def test_further_samples_end_where_there_are_no_more():
    study = Simulated(NETWORK, J6M, NOISE, spread={"y0": 3.0}, n=100_000)
    (table,), _, _ = measured(study)
    assert max(row.samples for row in table.rows) == MOST + len(study.setting().further_samples)


def test_a_wanted_count_is_kept_to():
    (table,), _, asked = measured(Simulated(NETWORK, J6M, NOISE, spread={"y0": 2.0}, n=20_000), count=7)
    assert {row.samples for row in table.rows} == {7}
    assert {len(one.samples) for one in asked} == {7}


def two_outputs(goals, spread):
    """Two outputs that hear different points."""
    network = chain(16, outputs=2)
    noise = {("activation", t): 1e-4 * 1.3 ** (t % 12) for t in range(len(network.tensors))}
    first, second = ({key: 0.0 for key in noise if key[1] % 2 == deaf} for deaf in (0, 1))
    return Simulated(network, J6M, noise, only={"y0": first, "y1": second}, goals=goals, spread=spread, n=20_000)


def test_only_what_counts_in_a_doubtful_table_is_measured_further():
    """One of two outputs scatters: the other's points are left as they are."""
    found, _, _ = measured(two_outputs({"y0": 0.01, "y1": 0.01}, {"y0": 1.0}), every=True)
    tables_of = {table.output: table for table in found}
    samples = {row.point.index: row.samples for row in found[0].rows if row.point.kind.value == "activation"}
    heard = {name: {row.point.index for row in table.rows if row.value > 0} for name, table in tables_of.items()}
    assert heard["y0"]
    assert heard["y1"]
    assert not heard["y0"] & heard["y1"]
    assert all(samples[index] > MOST for index in heard["y0"])
    assert all(samples[index] == MOST for index in heard["y1"])
    assert all(table.agreement is not None and table.agreement >= RELIABLE for table in found)


def test_outputs_whose_goals_the_base_meets_are_not_settled():
    """Both outputs scatter, one goal is missed: only that one's points run further, and only its table is kept."""
    study = two_outputs({"y0": 1e-4, "y1": 10.0}, {"y0": 1.0, "y1": 1.0})
    (missing, met), low, _ = measured(study, every=True)
    assert missed(study.setting(), low) == ("y0",)
    assert most_samples(missing) > MOST
    assert most_samples(met) == MOST
    (_, settled), _, _ = measured(study, every=True, relied=("y0", "y1"))
    assert most_samples(settled) > MOST
    session = TrialSession(study.setting())
    assert len(study.drive(session.tables(low, "low", formats=(Format.INT8,), every=True))) == 2
    assert [table.output for table in session.table_list] == ["y0"]


def most_samples(table):
    """Of the points that are loud at this output."""
    return max(row.samples for row in table.rows if row.value > 0)


def test_other_formats_are_measured_on_the_samples_the_rows_come_from():
    study = Simulated(NETWORK, J6M, NOISE, spread={"y0": 1.0}, n=20_000)
    found, low, _ = measured(study)
    rows = (found[0].rows[0], found[0].rows[-1])
    assert rows[0].samples > rows[1].samples
    before = len(study.asked)
    effective = low.configuration.effective
    again = study.drive(errors_at(study.setting(), low, effective, [row.point for row in rows], found))
    assert again["y0"] == pytest.approx([row.value for row in rows])
    assert sorted(len(item.work.samples) for item in study.asked[before:]) == sorted(row.samples for row in rows)
