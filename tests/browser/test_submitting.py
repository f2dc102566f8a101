"""From the form to the downloaded files, on the server as it ships: `bitbudget serve` with its worker."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.visiting import WAIT_MS, save, sign_in, tab_to
from tests.service.api.serving import Server, upload
from tests.service.cli.served import served

pytestmark = pytest.mark.browser
DIGITS = Path(__file__).parents[2] / "examples" / "digits"
STUDY_MS = 240_000


def fill_in(page: Page, name: str) -> None:
    """The job of the example, as somebody types it."""
    page.get_by_label("File").nth(0).set_input_files(DIGITS / "digits.onnx")
    page.get_by_label("File").nth(1).set_input_files(DIGITS / "calibration.npz")
    page.get_by_label("File").nth(2).set_input_files(DIGITS / "evaluation.npz")
    page.get_by_label("Value").fill("0.005")
    page.get_by_label("Output").fill("logits")
    page.get_by_label("Strategy").select_option("ladder")
    page.get_by_label("Name", exact=True).fill(name)


def test_submit_watch_read_the_verdict_and_download(tmp_path: Path, visit: Visit) -> None:
    with served(tmp_path / "serve") as server, server.client() as client:
        visitor = visit(server.url)
        visitor.expected = ("404",)  # whether the server has a file is asked with HEAD
        page = visitor.page
        page.goto(server.url)  # signed out: the login comes first
        page.get_by_label("API key").fill(server.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Studies")).to_be_visible()
        page.get_by_role("link", name="New study").first.click()
        fill_in(page, "digits by hand")
        expect(page.locator("[data-state]")).to_have_text([re.compile(", ready$")] * 3, timeout=WAIT_MS)
        expect(page.locator("[data-text]")).to_contain_text("max_drop: 0.005")
        expect(page.locator("[data-estimate]")).to_contain_text("Estimate: ")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url(re.compile("/studies/"))
        expect(page.get_by_role("heading", name="Goal met")).to_be_visible(timeout=STUDY_MS)
        study = page.url.rpartition("/")[2].partition("?")[0]
        result = client.studies.get(study).result
        assert result is not None
        expect(page.locator(".goals strong")).to_have_text(f"{result['metrics'][0]['chosen']:.4f}")
        expect(page.locator(".facts")).to_contain_text(f"{result['cost']['chosen']:.3f}")
        page.wait_for_selector("[data-chart].js-plotly-plot")
        page.get_by_role("link", name="Artifacts").click()
        found = {one.name: one.digest for one in client.studies.artifacts(study)}
        for name in ("result.json", "model.qdq.onnx", "report.html"):
            path = save(visitor, page.get_by_role("link", name=name, exact=True).click, tmp_path)
            assert hashlib.sha256(path.read_bytes()).hexdigest() == found[name]
        page.get_by_role("link", name="New study like this").click()
        expect(page.locator("[data-text]")).to_contain_text("strategy: ladder")
        page.get_by_label("Which").first.wait_for()
        assert page.get_by_label("Which").first.input_value().startswith("models/")


def test_a_file_is_hashed_in_the_browser_in_pieces_of_any_size(server: Server, visit: Visit, tmp_path: Path) -> None:
    visitor = visit(server.url)
    visitor.expected = ("404",)  # whether the server has a file is asked with HEAD
    sign_in(visitor, server)
    page = visitor.go("/submit")
    sizes = (0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 4 * 2**20 - 1, 4 * 2**20 + 3)
    for size in sizes:
        data = os.urandom(size)
        (tmp_path / "data.npz").write_bytes(data)
        page.locator("#evaluation-file").set_input_files(tmp_path / "data.npz")
        digest = hashlib.sha256(data).hexdigest()
        expect(page.locator("[data-text]")).to_contain_text(f"evaluation: sha256:{digest}")
        assert server.client().head(f"/v1/blobs/{digest}").status_code == 200
        page.locator("#evaluation-file").set_input_files([])


def test_the_job_is_the_same_as_yaml_curl_and_python(server: Server, visit: Visit) -> None:
    visitor = visit(server.url)
    sign_in(visitor, server)
    client = server.client()
    name = 'it\'s "yes": {x} #1\n- é'
    reference = upload(client, b"data")
    spec = {
        "model": upload(client, b"model"),
        "data": {"calibration": reference, "evaluation": reference},
        "target": {"name": "j6m", "toolchain": "3.2"},
        "goal": [{"metric": "top1", "output": name.replace("\n", " "), "labels": "no", "max_drop": 0.01}],
        "pins": [{"match": "head.*", "at_least": "int16"}],
    }
    made = client.post("/v1/studies", json=spec)
    assert made.status_code == 202, made.text
    page = visitor.go(f"/submit?like={made.json()['id']}")
    expect(page.locator("[data-estimate]")).to_contain_text("Estimate: ")
    told = page.locator("[data-text]")
    written = client.post(
        "/v1/studies?dry_run=true", content=told.inner_text(), headers={"Content-Type": "application/yaml"}
    )
    assert written.status_code == 200, written.text
    assert written.json()["spec"]["goal"][0]["output"] == spec["goal"][0]["output"]
    assert written.json()["spec_digest"] == made.json()["spec_digest"]
    page.get_by_role("button", name="curl").click()
    body = told.inner_text().split("--data-raw '")[1].rstrip("'").replace("'\\''", "'")
    assert json.loads(body)["pins"] == spec["pins"]
    page.get_by_role("button", name="Python").click()
    scope: dict[str, object] = {}
    source = told.inner_text().split("with Client")[0].replace("from service.client import Client", "")
    exec(source, scope)
    assert scope["spec"] == json.loads(body)


def test_mistakes_are_told_beside_the_job(server: Server, visit: Visit) -> None:
    visitor = visit(server.url)
    visitor.expected = ("422",)
    sign_in(visitor, server)
    page = visitor.go("/submit")
    for role in ("model", "calibration", "evaluation"):
        page.locator(f"#{role}-place").select_option("reference")
        page.locator(f"#{role}-reference").fill("/etc/passwd")
    expect(page.get_by_role("alert").first).to_contain_text("/model: must be one of sha256:<hex>")
    expect(page.get_by_role("button", name="Submit")).to_be_disabled()


def test_a_study_is_submitted_with_the_keyboard_alone(server: Server, visit: Visit) -> None:
    client = server.client()
    model = client.post("/v1/models", json={"name": "net", "digest": upload(client, b"m")[7:]}).json()["id"]
    reference = upload(client, b"data")
    visitor = visit(server.url)
    sign_in(visitor, server)
    page = visitor.go("/")
    tab_to(page, 'a[href="/submit"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/submit")
    tab_to(page, "#model-place")
    page.keyboard.type("already")
    tab_to(page, "#model-held")
    page.keyboard.type("net")
    for role in ("calibration", "evaluation"):
        tab_to(page, f"#{role}-place")
        page.keyboard.type("a ref")
        tab_to(page, f"#{role}-reference")
        page.keyboard.type(reference)
    tab_to(page, "#name")
    page.keyboard.type("typed")
    expect(page.get_by_role("button", name="Submit")).to_be_enabled(timeout=WAIT_MS)
    tab_to(page, "[data-submit]")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/studies/"))
    (study,) = client.get("/v1/studies").json()["items"]
    assert study["name"] == "typed"
    assert client.get(f"/v1/studies/{study['id']}").json()["spec"]["model"] == f"models/{model}"
