"""Layers as pages print them: numbers equal the document's."""

from __future__ import annotations

import json

from search.export.report.layers_view import layers_view
from tests.export.views_example import example_layers


def test_title_and_summary_come_from_the_document():
    view = layers_view(example_layers())
    assert view.depth.summary == "SQNR is lowest at the end. 25 layers on 32 samples, by the integer simulator."
    other = layers_view({**example_layers(), "evaluator": "fake_quant", "samples": 1})
    assert other.depth.summary.endswith("25 layers on 1 sample, by the Q/DQ model.")


def test_the_table_has_every_layer_with_its_figures():
    document = example_layers()
    table = layers_view(document).depth.table
    assert len(table.rows) == len(document["layers"])
    for row, layer in zip(table.rows, document["layers"], strict=True):
        cells = dict(zip(table.head, row, strict=True))
        assert cells["Layer"] == layer["op_name"]
        assert cells["SQNR"] == ("–" if layer["sqnr_db"] is None else f"{layer['sqnr_db']:.1f} dB")
        assert cells["Clipped"] == ("–" if layer["clipped_share"] is None else "0.03\u00a0%")
    assert table.rows[-1][-1] == "3 of 4096 quantized values are not finite"
    assert layers_view(document, rows=5).depth.table.note == "20 further layers in layers.csv."


def test_bins_are_those_of_the_document_without_empty_ones_at_the_end():
    document = example_layers()
    for layer, found in zip(document["layers"], layers_view(document).data["layers"], strict=True):
        counts = layer["histogram"]["counts"]
        assert found["bins"][2] == counts[: len(found["bins"][2])]
        assert sum(found["bins"][2]) == sum(counts)
        assert found["cosine"] is None or found["cosine"] >= 0


def test_further_results_of_a_group_have_an_id_of_their_own():
    document = example_layers(4)
    for layer in document["layers"][2:]:
        layer["id"] = "g1"
    assert [layer["id"] for layer in layers_view(document).data["layers"]] == ["t0", "g0", "g1", "g1.1", "g1.2"]


def test_a_layer_is_told_in_a_sentence():
    told = layers_view(example_layers()).data["layers"][1]["told"]
    assert told == (
        "Conv, stored in int16; one step is 0.0200; it holds \u22122.5600 to 2.5400; 0.03\u00a0% of the float values "
        "are clipped; SQNR 45.0 dB, 48.0 dB by its own rounding alone."
    )
    assert "nothing is clipped" in _told(clipped_share=0.0)
    assert "zero point 7" in _told(zero_point=7)


def _told(**changes):
    document = example_layers()
    document["layers"][1] |= changes
    return layers_view(document).data["layers"][1]["told"]


def test_hostile_names_are_cleaned():
    view = layers_view(example_layers(6, name="a\u202eb" + "x" * 1_000_000))
    text = json.dumps(view.data, ensure_ascii=False)
    assert "\u202e" not in text
    assert len(text) < 60_000
