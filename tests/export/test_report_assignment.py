"""The assignment table, findings and files of the report."""

from __future__ import annotations

from fractions import Fraction

import pytest

from search.export.report.artifacts import artifacts
from search.export.report.assignment import N_ROWS, OperatorRow, assignment_view, badges
from search.export.report.findings import finding_rows
from search.precision import Precision
from search.records.finding import Finding
from search.records.result import Result
from tests.export.report_example import example_qconfig, example_result


def _view(qconfig=None):
    rows = [OperatorRow(**row) for row in (example_qconfig() if qconfig is None else qconfig)]
    return assignment_view(rows, Result.from_json(example_result()).assignment)


@pytest.mark.parametrize("precision", list(Precision))
def test_every_precision_has_letters_that_tell_it_without_colour(precision):
    told = "".join(badge.side + badge.letter for badge in badges(precision.value))
    expected = {"int8": "8", "int16": "16", "fp16": "F16", "fp32": "F32"}.get(precision.value, precision.value)
    assert told == expected


def test_a_change_by_a_rule_is_told_with_its_reason():
    row = next(row for row in _view().rows if row.name == "layer1.0.conv1")
    assert (row.requested, row.precision, row.changed) == ("a16w16", "a16w8", True)
    assert "dual int16" in row.reason


def test_a_fused_operator_names_what_it_is_fused_into():
    row = next(row for row in _view().rows if row.name == "layer1.0.relu1")
    assert row.reason == "fused into layer1.0.conv1"


def test_the_composition_is_the_share_of_compute_of_each_precision():
    shares: dict[str, Fraction] = {}
    for row in example_qconfig():
        shares[row["effective"]] = shares.get(row["effective"], Fraction(0)) + Fraction(row["share"])
    total = sum(shares.values())
    parts = {part.precision: part.length for part in _view().parts}
    assert parts == pytest.approx({key: float(100 * value / total) for key, value in shares.items() if value})
    assert sum(parts.values()) == pytest.approx(100)


def test_without_shares_operators_are_counted():
    rows = [{**row, "share": None} for row in example_qconfig()]
    view = _view(qconfig=rows)
    assert "of operators" in view.parts[0].told
    assert {row.share for row in view.rows} == {"–"}


def test_a_very_long_table_is_cut_and_says_so():
    view = _view(qconfig=[example_qconfig()[2]] * (N_ROWS + 5))
    assert (len(view.rows), view.n_left_out) == (N_ROWS, 5)


def test_the_evidence_of_a_finding_is_printed_in_order():
    evidence = {"node": "conv1", "nodes": list("abcdefghij"), "sum_bits": 33, "nothing": None}
    (row,) = finding_rows([Finding(code="x", severity="note", message="m", evidence=evidence)])
    assert row.evidence == (("node", "conv1"), ("nodes", "a, b, c, d, e, f, g, h and 2 more"), ("sum bits", "33"))


def test_links_stay_inside_the_folder_of_the_report():
    files = artifacts(
        {"a": "horizon/quant_config.json", "b": "/etc/passwd", "c": "../x", "d": "javascript:alert(1)", "e": "//evil/x"}
    )
    assert [file.href for file in files] == [
        "./horizon/quant_config.json",
        "./etc/passwd",
        "./javascript%3Aalert%281%29",
        "./evil/x",
    ]
