"""A study as it happens: every trial, the connection that breaks, the end; what is selected; what may be done."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Visit
from tests.browser.stages import PROGRESS, RESULT, TRIALS, done, failed, queued, running, tell
from tests.browser.visiting import Visitor, sign_in, tab_to
from tests.service.api.serving import Server, trial

pytestmark = pytest.mark.browser


def watching(server: Server, visit: Visit, study: str, query: str = "") -> Visitor:
    visitor = visit(server.url, reduced_motion="reduce")
    sign_in(visitor, server)
    visitor.go(f"/studies/{study}{query}")
    return visitor


def drawn(page: Page) -> list[str]:
    """Numbers of the trials in the ladder."""
    page.wait_for_selector("#ladder-0 .js-plotly-plot")
    points = page.evaluate(
        "document.querySelector('#ladder-0 .js-plotly-plot').data.flatMap((t) => (t.customdata ?? []).map((c) => c[1]))"
    )
    return sorted(points)


def test_trials_phases_and_the_end_come_by_themselves(server: Server, visit: Visit) -> None:
    study = queued(server)
    page = watching(server, visit, study).page
    expect(page.get_by_role("heading", name="Waiting for a worker")).to_be_visible()
    server.move(study, expect="queued", to="running")
    tell(server, study, "phase", {"phase": "search"}, phase="search", progress=PROGRESS)
    expect(page.locator('.phases [aria-current="step"]')).to_have_text("Search")
    expect(page.locator("#announcement")).to_have_text(re.compile("search|running"))
    for row in TRIALS:
        server.add_trials(study, [row])
        tell(server, study, "trial", {"no": row.record.no})
        expect(page.locator(f'tr[data-trial="{row.record.no}"]')).to_be_visible()
    expect(page.locator(".proof")).to_contain_text("95 %: ")
    page.wait_for_function("() => document.querySelector('#ladder-0 .js-plotly-plot')?.data.length > 3")
    assert drawn(page) == ["1", "2", "3", "4"]
    tell(server, study, "progress", {**PROGRESS, "completed": 6}, progress={**PROGRESS, "completed": 6})
    expect(page.locator("[data-told]")).to_have_text("evaluate an assignment, 6 of 8")
    server.move(study, expect="running", to="succeeded", outcome="met", result=RESULT)
    expect(page.get_by_role("heading", name="Goal met")).to_be_visible()


def test_a_connection_that_breaks_comes_back_and_misses_nothing(server: Server, visit: Visit) -> None:
    study = running(server)
    visitor = visit(server.url)
    visitor.expected = ("ERR_FAILED",)
    sign_in(visitor, server)
    refused = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        if len(refused) <= 3:
            route.abort()
        else:
            route.continue_()

    visitor.page.route("**/events?*", refuse)
    page = visitor.go(f"/studies/{study}")
    fifth = trial(5, 1.1, 0.745)
    server.add_trials(study, [replace(fifth, record=replace(fifth.record, why="while nobody listened"))])
    tell(server, study, "trial", {"no": 5})
    expect(page.locator(".proof .why").last).to_have_text("while nobody listened")
    assert len(refused) == 4


def test_silence_of_the_server_is_said_after_half_a_minute(server: Server, visit: Visit) -> None:
    study = running(server)
    visitor = visit(server.url)
    sign_in(visitor, server)
    visitor.page.clock.install()
    page = visitor.go(f"/studies/{study}")
    banner = page.locator(".stale")
    expect(banner).to_be_hidden()
    page.clock.fast_forward(29_000)
    expect(banner).to_be_hidden()
    page.clock.fast_forward(8_000)
    expect(banner).to_contain_text("No sign of life from the server")
    tell(server, study, "progress", PROGRESS)
    expect(banner).to_be_hidden()


def test_a_selection_is_everywhere_and_in_the_address(server: Server, visit: Visit) -> None:
    study = done(server)
    page = watching(server, visit, study).page
    page.wait_for_selector("#cost-0 .js-plotly-plot")
    point = page.evaluate(
        """() => {
          const plot = document.querySelector('#ladder-0 .js-plotly-plot');
          plot.scrollIntoView({ block: 'center' });
          const box = plot.getBoundingClientRect();
          const { xaxis, yaxis } = plot._fullLayout;
          return [box.x + xaxis._offset + xaxis.c2p(2), box.y + yaxis._offset + yaxis.c2p(0.71)];
        }"""
    )
    page.mouse.move(*point)
    page.mouse.click(*point)
    expect(page).to_have_url(re.compile(r"trial=2"))
    expect(page.locator('tr[data-trial="2"]')).to_have_attribute("data-selected", "")
    for chart in ("ladder-0", "cost-0"):
        names = page.evaluate(f"document.querySelector('#{chart} .js-plotly-plot').data.map((t) => t.name)")
        assert "selected" in names
    copied = watching(server, visit, study, page.url.partition(study)[2]).page
    expect(copied.locator('tr[data-trial="2"]')).to_have_attribute("data-selected", "")


def test_a_study_is_found_read_and_left_with_the_keyboard_alone(server: Server, visit: Visit) -> None:
    study = done(server)
    visitor = visit(server.url)
    visitor.page.goto(f"{server.url}/")
    page = visitor.page
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type(server.key())
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-study]")
    tab_to(page, f'a[href="/studies/{study}"]')
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{study}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to(page, "#ladder-0 summary")
    page.keyboard.press("Enter")
    expect(page.locator("#ladder-0 details")).to_have_attribute("open", "")
    tab_to(page, 'a[data-select="trial"][data-value="3"]')
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("trial=3"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/3")
    tab_to(page, 'a[href$="/findings"]')
    page.keyboard.press("Enter")
    expect(page.get_by_text("Only 12 calibration samples.")).to_be_visible()
    tab_to(page, "#theme")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    tab_to(page, 'form[action="/logout"] button')
    page.keyboard.press("Enter")
    page.wait_for_url("**/login")


def test_failures_are_said_in_words(server: Server, visit: Visit) -> None:
    study = failed(server)
    visitor = watching(server, visit, study)
    page = visitor.page
    expect(page.get_by_role("heading", name="Failed")).to_be_visible()
    expect(page.get_by_text("Labels are missing.")).to_be_visible()
    visitor.expected = ("404", "422")
    visitor.go("/studies/01900000-0000-7000-8000-000000000000")
    expect(page.get_by_text("There is no such study.")).to_be_visible()
    visitor.go(f"/studies/{study}/trials/77")
    expect(page.get_by_text("There is no such trial.")).to_be_visible()
    visitor.go("/?cursor=x")
    expect(page.get_by_text("The cursor is not one of this list.")).to_be_visible()


def test_a_study_is_paused_resumed_cancelled_and_deleted(server: Server, visit: Visit) -> None:
    study = queued(server)
    page = watching(server, visit, study).page
    page.on("dialog", lambda dialog: dialog.accept())
    for action, state in (("Pause", "Paused"), ("Resume", "Waiting for a worker"), ("Cancel", "Cancelled")):
        page.get_by_role("button", name=action).click()
        expect(page.get_by_role("heading", name=state)).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url(f"{server.url}/")
    expect(page.get_by_text("There are no studies yet.")).to_be_visible()


def test_what_is_refused_is_said_where_it_was_asked(server: Server, visit: Visit) -> None:
    study = queued(server)
    visitor = watching(server, visit, study)
    visitor.expected = ("409",)
    page = visitor.page
    page.route("**/events?*", lambda route: route.abort())  # the page does not hear of the end
    visitor.expected = ("409", "ERR_FAILED")
    visitor.go(f"/studies/{study}")
    server.move(study, expect="queued", to="cancelled")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert")).to_contain_text("The study is cancelled and cannot be paused.")


def test_the_list_follows_what_happens(server: Server, visit: Visit) -> None:
    study = running(server)
    visitor = visit(server.url)
    sign_in(visitor, server)
    page = visitor.go("/")
    expect(page.locator(f'tr[data-study="{study}"]')).to_contain_text("running")
    server.move(study, expect="running", to="succeeded", outcome="met", result=RESULT)
    expect(page.locator(f'tr[data-study="{study}"]')).to_contain_text("goal met")
    expect(page.locator(f'tr[data-study="{study}"]')).to_contain_text("0.7417")
    other = queued(server)
    expect(page.locator(f'tr[data-study="{other}"]')).to_be_visible()


def test_a_table_is_saved_as_csv_that_no_spreadsheet_runs(server: Server, visit: Visit, tmp_path: object) -> None:
    study = queued(server)
    server.move(study, expect="queued", to="running")
    first = trial(1, 1.0, 0.7)
    formulas = replace(first.record, stage="=cmd|'/c calc'!A1", why='-1+1, "x"')
    server.add_trials(study, [replace(first, record=formulas)])
    page = watching(server, visit, study).page
    page.locator("#ladder-0 summary").click()
    with page.expect_download() as found:
        page.locator('[data-csv="ladder-0"]').click()
    text = found.value.path().read_text()
    assert "'=cmd|'/c calc'!A1" in text
    assert '"\'-1+1, ""x"""' in text
