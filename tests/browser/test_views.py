"""Precision map, layers and sensitivity in a real browser, by mouse and keyboard."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from search.export.json_text import json_line
from search.export.report.render import render_report
from search.export.sensitivity_table import SensitivityLine, sensitivity_csv
from service.store.db.engine import Database
from tests.export.report_example import (
    example_operators,
    example_read,
    example_sensitivity,
)
from tests.export.views_example import example_layers, example_map, example_views
from tests.service.api.serving import Server, serving, submit

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=document.title='owned'></script><script>document.title='owned'</script>"


@dataclass
class Visit:
    """A page with everything it complained about and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def selected(self, name: str) -> str | None:
        return self.page.evaluate(f"new URLSearchParams(location.search).get('{name}')")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(15_000)
    found = Visit(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.asked.append(request.url))
    yield found
    page.close()
    assert found.complaints == []


@pytest.fixture
def place(sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
    with serving(sqlite_database, tmp_path, authenticate=False) as server:
        yield server


def delivered(server: Server, *, n: int = 24, name: str | None = None, n_trials: int = 12) -> str:
    """A finished study of ``n`` groups; its address."""
    study = submit(server.client())
    rows = [{**row, "op_name": name or row["op_name"]} for row in example_sensitivity()]
    files = {
        "precision_map.json": json_line(example_map(n, n_trials=n_trials, name=name)),
        "layers.json": json_line(example_layers(n, name=name)),
        "sensitivity.csv": sensitivity_csv(SensitivityLine(**row) for row in rows),
    }
    server.finish(study, result={"metrics": []})
    server.deliver(study, files)
    return f"{server.url}/studies/{study}"


def drawn(visit: Visit, address: str) -> Page:
    visit.page.goto(address)
    expect(visit.page.locator("[data-view=map][data-drawn]")).to_be_visible()
    return visit.page


def test_a_map_of_1500_groups_starts_collapsed_and_opens_whole(place: Server, visit: Visit) -> None:
    page = drawn(visit, f"{delivered(place, n=1500, n_trials=300)}/map")
    nodes = page.locator(".map-nodes > .map-node")
    assert nodes.count() < 450
    page.locator("[data-map=level]").select_option("all")
    expect(nodes).to_have_count(1502)
    assert page.locator(".map-edges > path").count() == 1501 + 374
    page.locator("[data-map=level]").select_option("0")
    assert nodes.count() < 100


def test_the_map_is_read_with_the_keyboard_alone(place: Server, visit: Visit) -> None:
    page = drawn(visit, f"{delivered(place)}/map")
    page.get_by_placeholder("name or operator").focus()
    while page.evaluate("document.activeElement.dataset.map") != "canvas":
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert visit.selected("group") == "t0"
    page.keyboard.press("ArrowDown")
    assert visit.selected("group") == "g0"
    page.keyboard.press("ArrowDown")
    assert visit.selected("group") == "g1"
    status = page.locator("[data-map=status]")
    expect(status).to_contain_text("/stage0/stage0.0/act/Relu, Relu, ")
    page.keyboard.press("Enter")  # collapses the block around it
    expect(page.locator(".map-node.scope")).to_have_count(1)
    expect(status).to_contain_text("stage0.0, 4 groups, collapsed")
    page.keyboard.press("Enter")
    expect(page.locator(".map-node.scope")).to_have_count(0)
    page.keyboard.press("ArrowUp")
    assert visit.selected("group") == "t0"
    before = page.locator(".map-canvas > g").get_attribute("transform")
    page.keyboard.press("+")
    assert page.locator(".map-canvas > g").get_attribute("transform") != before
    page.keyboard.press("End")
    assert visit.selected("group") == "out0"
    page.keyboard.press("Escape")
    assert visit.selected("group") is None
    expect(page.locator("[data-map=detail]")).to_be_hidden()


def test_search_leads_from_one_to_the_next(place: Server, visit: Visit) -> None:
    page = drawn(visit, f"{delivered(place)}/map")
    box = page.get_by_placeholder("name or operator")
    box.fill("conv2")
    expect(page.locator("[data-map=found]")).to_have_text("6 found")
    expect(page.locator(".map-node.is-found")).to_have_count(6)
    box.press("Enter")
    assert visit.selected("group") == "g2"
    box.press("Enter")
    assert visit.selected("group") == "g6"
    expect(page.locator("[data-map=found]")).to_have_text("2 of 6")


def test_an_address_shows_the_same_view_again(place: Server, visit: Visit) -> None:
    document = example_map()
    first, second = (document["trials"][n]["precisions"] for n in (4, 1))
    differ = sum(a != b for a, b in zip(first, second, strict=True))
    page = drawn(visit, f"{delivered(place)}/map?group=g6&trial=5&against=2")
    expect(page.locator("[data-map=name]")).to_have_text("/stage0/stage0.1/conv2/Conv")
    expect(page.locator("[data-map=difference]")).to_have_text(f"{differ} of 24 groups differ; the others are pale.")
    expect(page.locator(".map-node.same")).to_have_count(24 - differ)
    assert page.locator("[data-map=trial]").input_value() == "5"
    assert page.locator("[data-map=against]").input_value() == "2"
    assert page.locator(".map-casts > *").count() == 0  # known for the delivered assignment only
    page.locator("[data-map=trial]").select_option("")
    page.locator("[data-map=against]").select_option("none")
    assert (visit.selected("trial"), visit.selected("against"), visit.selected("group")) == (None, None, "g6")
    casts = sum(edge["stored"] != edge["read"] for edge in document["edges"])
    assert page.locator(".map-casts > *").count() == casts > 0


def test_a_click_selects_and_leads_to_the_layer(place: Server, visit: Visit) -> None:
    page = drawn(visit, f"{delivered(place)}/map")
    page.locator('[data-key="g1"]').click()
    assert visit.selected("group") == "g1"
    page.get_by_role("link", name="Layers", exact=True).last.click()
    expect(page.locator("#layers-histogram h3")).to_have_text("Values of /stage0/stage0.0/act/Relu")
    page.get_by_role("link", name="Show in the map").click()
    expect(page.locator("[data-map=name]")).to_have_text("/stage0/stage0.0/act/Relu")


def test_letters_stand_beside_every_colour(place: Server, visit: Visit) -> None:
    document = example_map()
    letters = {"a8w8": "a8w8", "a16w8": "a16w8", "a8w16": "a8w16", "a16w16": "a16w16", "int8": "8", "int16": "16"}
    letters |= {"fp16": "F16", "fp32": "F32"}
    page = drawn(visit, f"{delivered(place)}/map")
    for node in document["nodes"]:
        if node["kind"] == "group":
            told = page.locator(f'[data-key="{node["id"]}"] .block .letter').all_text_contents()
            assert "".join(told) == letters[node["precision"]]


def test_the_table_of_the_map_is_saved_as_csv(place: Server, visit: Visit) -> None:
    page = drawn(visit, f"{delivered(place)}/map")
    page.get_by_text("Show as table").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    groups = [node for node in example_map()["nodes"] if node["kind"] == "group"]
    assert [row["Operator"] for row in rows] == [node["name"] for node in groups]
    assert [row["Precision"] for row in rows] == [node["precision"] for node in groups]


def test_layers_are_stepped_through_and_measured(place: Server, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{delivered(place)}/layers")
    expect(page.locator(".js-plotly-plot")).to_have_count(2)
    document = example_layers()
    start = document["layers"][document["start"]]
    expect(page.locator("#layers-histogram h3")).to_have_text(f"Values of {start['op_name']}")
    page.get_by_role("button", name="Layer after").press("Enter")
    after = document["layers"][document["start"] + 1]
    assert visit.selected("group") == after["id"]
    page.keyboard.press("ArrowLeft")
    assert visit.selected("group") == start["id"]
    page.get_by_text("Show as table").last.click()
    counts = page.locator("#layers-histogram tbody tr td:last-child").all_text_contents()
    assert sum(int(text.replace(",", "")) for text in counts) == sum(start["histogram"]["counts"])
    page.locator("[data-layers-measure]").select_option("range")
    assert visit.selected("measure") == "range"
    expect(page.locator("#layers-depth .legendtext", has_text="end of what it holds")).to_be_visible()


def test_sensitivity_is_filtered_and_the_filter_stays_in_the_address(place: Server, visit: Visit) -> None:
    page = visit.page
    address = delivered(place)
    page.goto(f"{address}/sensitivity")
    rows = [row for row in example_sensitivity() if row["base"] == "all_int16"]
    weights = [row for row in rows if row["sensitive_type"] == "weight" and "layer2" in row["op_name"]]
    found = page.locator("[data-sensitivity=found]")
    expect(page.locator("[data-sensitivity=op] option")).not_to_have_count(1)  # the page's script has begun
    page.locator("[data-switch=table]").select_option(index=0)
    page.locator("[data-sensitivity=kind]").select_option("weight")
    page.locator("[data-sensitivity=point]").fill("layer2")
    table = page.locator(".pair:not([hidden]) .chart tbody").first
    expect(table.locator("tr")).to_have_count(len({row["rank"] for row in weights}))
    expect(found).to_have_text(re.compile(rf"^{len(weights)} of {len(rows)} points$"))
    assert (visit.selected("kind"), visit.selected("point")) == ("weight", "layer2")
    page.reload()
    expect(found).to_have_text(re.compile(rf"^{len(weights)} of {len(rows)} points$"))
    page.goto(f"{address}/sensitivity?group=g01")
    assert page.evaluate("document.querySelector('[data-picked]').hidden") is False


@pytest.mark.parametrize("view", ["map", "layers", "sensitivity"])
def test_a_hostile_name_stays_a_text_and_nothing_leaves_the_origin(place: Server, visit: Visit, view: str) -> None:
    page = visit.page
    page.goto(f"{delivered(place, name=HOSTILE)}/{view}?group=g3")
    page.wait_for_load_state("networkidle")
    assert "owned" not in page.title()
    assert page.locator("img").count() == 0
    assert page.get_by_text("onerror").count() > 0
    assert all(url.startswith(place.url) for url in visit.asked)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "report.html"
    made: dict[str, Any] = {"sensitivity": example_sensitivity(), "operators": example_operators()}
    file.write_text(render_report(example_read(), **made, views=example_views(64)), "utf-8")
    return file


def test_the_report_has_the_same_views_and_asks_for_nothing(report: Path, visit: Visit) -> None:
    page = drawn(visit, report.as_uri())
    page.locator('[data-key="g1"]').click()
    expect(page.locator("[data-map=name]")).to_have_text("/stage0/stage0.0/act/Relu")
    expect(page.locator("#layers-histogram h3")).to_have_text("Values of /stage0/stage0.0/act/Relu")
    page.locator("[data-sensitivity=kind]").select_option("weight")
    expect(page.locator("[data-sensitivity=found]")).to_contain_text(" of 96 points")
    assert [url for url in visit.asked if not url.startswith(("file:", "blob:"))] == []


def test_views_say_so_before_anything_is_delivered(place: Server, visit: Visit) -> None:
    study = submit(place.client())
    for view, text in (("map", "drawn when the study ends"), ("layers", "compared when the study ends")):
        visit.page.goto(f"{place.url}/studies/{study}/{view}")
        expect(visit.page.get_by_text(text)).to_be_visible()
    assert json.loads(visit.page.evaluate("JSON.stringify([...document.querySelectorAll('[data-view]')].length)")) == 0
