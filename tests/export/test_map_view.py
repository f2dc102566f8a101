"""The map as pages print it: numbers equal the document's, names are cleaned."""

from __future__ import annotations

import json

import pytest

from search.export.report.map_view import map_view
from tests.export.views_example import example_map


def test_the_summary_counts_what_the_document_holds():
    document = example_map()
    groups = [node for node in document["nodes"] if node["kind"] == "group"]
    view = map_view(document)
    assert view.summary.startswith("24 groups: ")
    for precision in {node["precision"] for node in groups}:
        n = sum(node["precision"] == precision for node in groups)
        share = f"{100 * n / 24:.0f}" if n / 24 >= 0.1 else f"{100 * n / 24:.1f}"
        assert f"{n} at {precision} ({share}\u00a0% of compute)" in view.summary
    assert "3 format changes between groups; changes and conversions at the ends take 2.0\u00a0% of" in view.summary


def test_without_changes_the_summary_says_so():
    document = {**example_map(), "n_casts": 0, "cast_share": 0.0}
    assert map_view(document).summary.endswith("No format changes between groups.")


def test_the_legend_has_every_precision_of_any_trial_with_its_letters():
    document = example_map()
    seen = {document["precisions"][int(digit)] for trial in document["trials"] for digit in trial["precisions"]}
    view = map_view(document)
    assert {entry.precision for entry in view.legend} == seen
    assert {entry.precision: entry.letters for entry in view.legend}["a8w8"] == ("a8", "w8")


def test_the_table_has_a_row_per_group_and_tells_what_is_left_out():
    document = example_map()
    table = map_view(document).table
    groups = [node for node in document["nodes"] if node["kind"] == "group"]
    assert [row[:4] for row in table.rows] == [
        (node["id"], node["name"], node["op_type"], node["precision"]) for node in groups
    ]
    changes = {document["nodes"][edge["to"]]["id"] for edge in document["edges"] if edge["stored"] != edge["read"]}
    assert {row[0] for row in table.rows if row[-1]} == changes & {node["id"] for node in groups}
    short = map_view(document, rows=10).table
    assert (len(short.rows), short.note) == (10, "14 further groups in precision_map.json.")


@pytest.mark.parametrize(
    ("name", "op_type", "label"),
    [
        ("/features/features.3/depthwise/conv/Conv", "Conv", "depthwise.conv"),
        ("/features/features.0/conv/Conv", "Conv", "features.0.conv"),
        ("/b/b.0/MatMul_1", "MatMul", "b.0.MatMul_1"),
        ("dw1", "Conv", "dw1"),
        ("a_very_long_name_without_any_end", "Conv", "…me_without_any_end"),
    ],
)
def test_labels_keep_the_end_of_a_name(name, op_type, label):
    document = example_map()
    document["nodes"][3] |= {"name": name, "op_type": op_type}
    assert map_view(document).data["nodes"][3]["label"] == label


def test_hostile_names_are_cleaned_before_the_script_sees_them():
    name = "a\u202eb\n" + "x" * 10_000_000
    view = map_view(example_map(8, name=name))
    text = json.dumps(view.data, ensure_ascii=False)
    assert "\u202e" not in text
    assert len(text) < 20_000
    assert max(len(cell) for row in view.table.rows for cell in row) <= 120


def test_trials_are_told_with_cost_and_verdict():
    view = map_view(example_map())
    assert view.trials[0].label == "trial 1 · ratio · 1.000 · met · delivered"
    assert view.chosen == "trial 1, delivered"
    assert view.levels == 1
    assert map_view(example_map(64)).levels == 2
