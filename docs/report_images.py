"""Take the pictures of the report that the README shows: ``make demo``, then ``python docs/report_images.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "out/demo/report.html"
IMAGES = ROOT / "docs/images"
WIDTH = 1200
PARTS = {"report-verdict.png": (None, "Accuracy against cost"), "report-sensitivity.png": ("Sensitivity", "Layers")}
"""Heading that a picture begins at (None: the top of the page), and the one before which it ends."""
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Write every picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(REPORT.as_uri())
        page.wait_for_load_state("networkidle")
        tops = {one.inner_text(): one.bounding_box() for one in page.query_selector_all("h2")}
        at = {name: int(box["y"]) for name, box in tops.items() if box is not None}
        for name, (first, last) in PARTS.items():
            top = 0 if first is None else at[first] - 24
            clip = {"x": 0, "y": top, "width": WIDTH, "height": at[last] - 24 - top}
            page.screenshot(path=IMAGES / name, full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    main()
