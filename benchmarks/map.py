"""How long the precision map takes: coordinates in Python, drawing in Chromium, and how large the report is.

``python -m benchmarks.map [--groups 1500] [--trials 300]`` prints, for residual networks and a random graph:

- *layout*: coordinates by ``search.export.drawing``, once per study;
- *report*: size of ``report.html`` with map, layers and this many trials;
- *first*: from the click of a link to the drawn map, as it opens (large maps start collapsed);
- *all groups*: from choosing "all groups" to the end of the next frame;
- *click*: from a click on a group to the end of the next frame.

Goals: layout and drawing <= 2 s together, a click <= 100 ms, the report <= 8 MB.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from search.export.drawing.draw import draw
from search.export.report.render import render_report
from tests.export.report_example import example_operators, example_read, example_sensitivity, example_trials
from tests.export.views_example import example_views

FRAME = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
ALL = """async () => {
  const level = document.querySelector("[data-map=level]");
  const start = performance.now();
  level.value = "all";
  level.dispatchEvent(new Event("change"));
  await (%s)();
  return performance.now() - start;
}"""
CLICK = """async () => {
  const start = performance.now();
  document.querySelector('[data-key="g40"] .box').dispatchEvent(new MouseEvent("click", { bubbles: true }));
  await (%s)();
  return performance.now() - start;
}"""


def layout_seconds(n: int, edges: list[tuple[int, int]]) -> float:
    start = time.perf_counter()
    draw(n, edges)
    return time.perf_counter() - start


def residual(n: int) -> list[tuple[int, int]]:
    return sorted({(i, i + 1) for i in range(n - 1)} | {(i, i + 4) for i in range(0, n - 4, 4)})


def scattered(n: int, seed: int = 1) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    return sorted({(max(0, t - rng.randint(1, 8)), t) for t in range(1, n) for _ in range(rng.randint(1, 2))})


def drawn(page: Page, file: Path) -> None:
    start = time.perf_counter()
    page.goto(file.as_uri())
    page.wait_for_selector("[data-view=map][data-drawn]", state="attached")
    print(f"first: {1000 * (time.perf_counter() - start):.0f} ms with plotly and every other chart of the report")
    print(f"all groups: {page.evaluate(ALL % FRAME):.0f} ms")
    print(f"click: {page.evaluate(CLICK % FRAME):.0f} ms")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--groups", type=int, default=1500)
    arguments.add_argument("--trials", type=int, default=300)
    chosen = arguments.parse_args()
    print(f"layout, residual: {1000 * layout_seconds(chosen.groups, residual(chosen.groups)):.0f} ms")
    print(f"layout, random: {1000 * layout_seconds(chosen.groups, scattered(chosen.groups)):.0f} ms")
    base = example_trials()
    trials = [{**base[n % len(base)], "no": n + 1} for n in range(chosen.trials)]
    operators = [replace(example_operators()[2], name=f"stage.{n}.conv") for n in range(chosen.groups)]
    views = example_views(chosen.groups, n_trials=chosen.trials)
    html = render_report(
        example_read(trials),
        sensitivity=example_sensitivity(2 * chosen.groups),
        operators=operators,
        views=views,
    )
    print(f"report: {len(html.encode()) / 1e6:.2f} MB")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(html, "utf-8")
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=program, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        drawn(browser.new_page(viewport={"width": 1280, "height": 900}), file)
        browser.close()


if __name__ == "__main__":
    main()
