"""axe-core finds nothing on any page, in both themes, in every stage of a study."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from service.web.study_views import VIEWS
from tests.browser.conftest import Visit
from tests.browser.stages import STAGES, done, failed, running
from tests.browser.visiting import Visitor, sign_in
from tests.service.api.serving import Server

pytestmark = pytest.mark.browser
AXE = Path(os.environ.get("BITBUDGET_TEST_AXE", Path(__file__).parents[2] / "build" / "axe" / "axe.min.js"))
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@cache
def axe() -> str:
    assert AXE.exists(), f"{AXE} is missing: make {AXE.relative_to(AXE.parents[2])} fetches it from npm."
    return AXE.read_text()


def violations(visitor: Visitor) -> list[str]:
    """What axe finds on the page as it is."""
    visitor.page.evaluate(axe())
    found = visitor.page.evaluate("rules => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })", RULES)
    assert found["testEngine"]["version"]
    return [
        f"{visitor.page.url} {one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def pages_of(study: str) -> Iterator[str]:
    yield f"/studies/{study}"
    for view in VIEWS:
        yield f"/studies/{study}/{view.key}"


@pytest.mark.parametrize("theme", ["light", "dark"])
class TestEveryPage:
    @pytest.mark.parametrize("stage", sorted(STAGES))
    def test_of_a_study(self, server: Server, visit: Visit, theme: str, stage: str) -> None:
        study = STAGES[stage](server)
        visitor = visit(server.url, color_scheme=theme, reduced_motion="reduce")
        sign_in(visitor, server)
        found = []
        for path in pages_of(study):
            visitor.go(path)
            found += violations(visitor)
        if stage == "done":
            visitor.go(f"/studies/{study}?trial=3")
            visitor.page.locator("details > summary").first.click()
            found += violations(visitor)
            for address in (
                "map?group=g6",
                "map?trial=5&against=2",
                "layers?group=g3&measure=range",
                "sensitivity?group=g0",
            ):
                visitor.go(f"/studies/{study}/{address}")
                visitor.page.locator("details > summary").first.click()
                found += violations(visitor)
        assert found == []

    def test_of_the_server(self, server: Server, visit: Visit, theme: str) -> None:
        visitor = visit(server.url, color_scheme=theme, reduced_motion="reduce")
        visitor.go("/login")
        found = violations(visitor)
        sign_in(visitor, server)
        for path in ("/", "/submit", "/compare", "/system"):  # with nothing in them
            visitor.go(path)
            found += violations(visitor)
        first, second = done(server), running(server)
        failed(server)
        for path in (
            "/",
            f"/submit?like={first}",
            f"/compare?of={first}&of={second}&of={first}:2",
            f"/studies/{first}/trials/3",
        ):
            visitor.go(path)
            found += violations(visitor)
        visitor.expected = ("404",)
        visitor.go("/nothing/here")
        found += violations(visitor)
        assert found == []

    def test_on_a_narrow_screen(self, server: Server, visit: Visit, theme: str) -> None:
        study = done(server)
        visitor = visit(server.url, color_scheme=theme, viewport={"width": 390, "height": 844})
        sign_in(visitor, server)
        found = []
        for path in ("/", "/submit", "/system", f"/compare?of={study}&of={study}:2", *pages_of(study)):
            visitor.go(path)
            found += violations(visitor)
            assert visitor.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert found == []
