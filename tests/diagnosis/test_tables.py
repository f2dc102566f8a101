from __future__ import annotations

from dataclasses import replace

from search.diagnosis.tables import UNCERTAIN, both_sides_findings, order_findings, tail_findings
from search.sensitivity.table import Table, make_table
from tests.strategies.nets import chain, weights, written
from tests.strategies.simulated import Key, point

NETWORK = chain(8)


def table(values: dict[Key, float], base: str = "all-int16") -> Table:
    return make_table(
        NETWORK,
        output="y0",
        metric="cosine",
        base=base,
        points=[point(*key) for key in values],
        values=list(values.values()),
    )


def falling(last: float) -> Table:
    keys = [("activation", t) for t in range(12)]
    return table({key: 1.0 - (1.0 - last) * i / 11 for i, key in enumerate(keys)})


def test_a_table_whose_last_rows_are_large_is_told():
    (found,) = tail_findings([falling(0.5)])
    assert found.code == "tail-not-near-zero"
    assert found.evidence["share"] == 0.5
    assert "'y0'" in found.message
    assert "50%" in found.message


def test_a_table_that_ends_near_zero_is_silent():
    assert not list(tail_findings([falling(0.01)]))


def test_short_tables_and_tables_of_zeros_are_silent():
    assert not list(tail_findings([table({("activation", 0): 1.0, ("activation", 1): 1.0})]))
    assert not list(tail_findings([table({("activation", t): 0.0 for t in range(12)})]))


def test_a_table_whose_order_is_uncertain_is_told_with_the_estimate_and_the_samples():
    rows = tuple(replace(row, samples=4 + row.rank) for row in falling(0.01).rows)
    unsure = Table("y0", "all-int8", rows, agreement=0.8)
    (found,) = order_findings([unsure])
    assert (found.code, found.severity) == ("order-uncertain", "note")
    assert "0.80, from 16 samples" in found.message
    assert not list(order_findings([replace(unsure, agreement=UNCERTAIN), replace(unsure, agreement=None)]))


def test_a_gemm_sensitive_on_both_sides_is_named_with_both_numbers():
    strong = table({written(NETWORK, "act2"): 1.0, weights(NETWORK, "conv3"): 0.5, weights(NETWORK, "conv1"): 0.01})
    (found,) = both_sides_findings(NETWORK, [strong], is_missed=True)
    assert found.evidence["node"] == "conv3"
    assert (found.evidence["activation"], found.evidence["weight"]) == (1.0, 0.5)
    assert "3.2.0" in found.advice


def test_both_sides_are_only_told_where_all_int16_misses_and_only_from_its_table():
    strong = table({written(NETWORK, "act2"): 1.0, weights(NETWORK, "conv3"): 0.5})
    later = table({written(NETWORK, "act4"): 1.0, weights(NETWORK, "conv5"): 0.5}, base="int8/fp16")
    assert not list(both_sides_findings(NETWORK, [strong], is_missed=False))
    assert not list(both_sides_findings(NETWORK, [], is_missed=True))
    assert {f.evidence["node"] for f in both_sides_findings(NETWORK, [strong, later], is_missed=True)} == {"conv3"}
