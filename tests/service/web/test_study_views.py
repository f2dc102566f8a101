"""Map, layers and sensitivity of a study as pages: their text equals what the interface under /v1 gives."""

from __future__ import annotations

import json

import pytest

from search.export.json_text import json_line
from search.export.layers_table import layers_csv
from tests.export.views_example import example_layers, example_map
from tests.service.api.serving import Server, submit
from tests.service.web.reading import looking, read


@pytest.fixture
def study(server: Server) -> str:
    found = submit(server.client())
    layers = example_layers()
    server.finish(found)
    files = {
        "precision_map.json": json_line(example_map()),
        "layers.json": json_line(layers),
        "layers.csv": layers_csv(layers["layers"]),
    }
    server.deliver(found, files)
    return found


def test_layers_of_the_page_are_those_of_the_interface(server: Server, study: str) -> None:
    page = read(looking(server), f"/studies/{study}/layers")
    rows = server.client().get(f"/v1/studies/{study}/layers", params={"limit": 200}).json()["items"]
    assert len(rows) == 25
    for row in rows:
        assert row["op_name"] in page.text
        if row["sqnr_db"] is not None:
            assert f"{row['sqnr_db']:.1f} dB" in page.text
    data = next(json.loads(body) for values, body in page.scripts if "data-json" in values)
    assert [layer["name"] for layer in data["layers"]] == [row["op_name"] for row in rows]


def test_the_map_of_the_page_is_the_delivered_file(server: Server, study: str) -> None:
    page = read(looking(server), f"/studies/{study}/map")
    document = server.client().get(f"/v1/studies/{study}/artifacts/precision_map.json").json()
    data = next(json.loads(body) for values, body in page.scripts if "data-json" in values)
    assert [node["id"] for node in data["nodes"]] == [node["id"] for node in document["nodes"]]
    assert [node["x"] for node in data["nodes"]] == [node["x"] for node in document["nodes"]]
    for node in document["nodes"]:
        if node["kind"] == "group":
            assert f"{node['id']} {node['name']} {node['op_type']} {node['precision']}" in page.text


def test_every_view_says_what_is_missing(server: Server) -> None:
    running, ended = submit(server.client()), submit(server.client(), target={"name": "j6e"})
    server.finish(ended, outcome="not_met")
    for key, text in (("map", "there is no assignment to show"), ("layers", "there is nothing to compare with float")):
        assert text in read(looking(server), f"/studies/{ended}/{key}").text
        assert "when the study ends" in read(looking(server), f"/studies/{running}/{key}").text
