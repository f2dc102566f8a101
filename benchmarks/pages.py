"""How fast the pages are: from the database to a drawn chart.

``python -m benchmarks.pages --write benchmarks/pages.md`` measures, on this machine with SQLite and Chromium:

- *pages p95*: time of every kind of page over HTTP, one after the other, with 100,000 trials in the database (one study
  of 10,000, the others of 1,000; goal 200 ms);
- *longest task*: the longest block of the browser's main thread on the page of a running study while 10 events come
  per second, one of them a new trial, after plotly has loaded (goal 100 ms);
- *report*: size of ``report.html`` of a study of 300 trials (goal 8 MB), and requests it makes when opened (goal 0).

Run it while nothing else runs: a wait for the processor counts as the page's own time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

from benchmarks.figures import Figure, circumstances, page
from search.export.report.render import render_report
from service.store.db import studies
from service.web.study_views import VIEWS
from tests.browser.stages import PROGRESS, RESULT, SENSITIVITY, detailed, running, tell
from tests.browser.visiting import ARGUMENTS, CHROMIUM, sign_in, visiting
from tests.export.report_example import METRIC, example_operators, example_read, example_sensitivity, example_trials
from tests.service.api.serving import Server, serving, submit, trial
from tests.service.databases import new_database

TRIALS, LARGE, USUAL = 100_000, 10_000, 1_000
PER_S = 10
WATCH = """() => {
  window.longest = 0; window.blocks = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((one) => {
    window.longest = Math.max(window.longest, one.duration); window.blocks += one.duration > 100 ? 1 : 0;
  })).observe({ type: "longtask" });
}"""


def fill(server: Server, n: int) -> tuple[str, str]:
    """Store ``n`` trials; return the large study and a usual one."""
    client = server.client()
    found = []
    left = n
    while left > 0:
        study = submit(client)
        size = min(left, USUAL if found else LARGE)
        rows = [detailed(trial(no, 1 + (no * 7919 % size) / size, 0.7 + no % 97 / 1000)) for no in range(1, size + 1)]
        server.add_trials(study, rows)
        server.deliver(study, {"sensitivity.csv": SENSITIVITY.encode(), "result.json": b'{"findings": []}'})
        server.finish(study, result=RESULT)
        found.append(study)
        left -= size
    return found[0], found[-1]


def pages_ms(rounds: int) -> Mapping[str, list[float]]:
    """Milliseconds of every kind of page, sorted."""
    with (
        tempfile.TemporaryDirectory() as folder,
        new_database("sqlite") as database,
        serving(database, Path(folder), max_queued_studies=1000) as server,
    ):
        large, usual = fill(server, TRIALS)
        paths = ["/", "/submit", "/system", f"/compare?of={large}&of={usual}", f"/studies/{usual}/trials/500"]
        paths += [f"/studies/{large}", f"/studies/{large}/live", f"/studies/{usual}"]
        paths += [f"/studies/{large}/{view.key}" for view in VIEWS]
        client = server.anonymous(headers={"Accept": "text/html", "Authorization": f"Bearer {server.key()}"})
        names = {path: path.replace(large, "<10,000 trials>").replace(usual, "<1,000 trials>") for path in paths}
        return {names[path]: sorted(_took_ms(client, path) for _ in range(rounds)) for path in paths}


def _took_ms(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(path)
    took = 1000 * (time.perf_counter() - began)
    answer.raise_for_status()
    return took


def longest_task_ms(browser: Browser, seconds: float) -> tuple[float, int, int]:
    """The longest block of the main thread, how many were above 100 ms, and the trials shown at the end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        new_database("sqlite") as database,
        serving(database, Path(folder)) as server,
        visiting(browser, server.url) as visitor,
    ):
        study = running(server)
        sign_in(visitor, server)
        shown = visitor.go(f"/studies/{study}")
        shown.wait_for_selector("#cost-0 .js-plotly-plot")
        shown.wait_for_timeout(3000)
        shown.evaluate(WATCH)
        busy = threading.Thread(target=_happen, args=(server, study, seconds))
        busy.start()
        while busy.is_alive():
            shown.wait_for_timeout(500)
        shown.wait_for_timeout(3000)
        n = shown.locator("tr[data-trial]").count()
        return shown.evaluate("window.longest"), shown.evaluate("window.blocks"), n


def _happen(server: Server, study: str, seconds: float) -> None:
    """Ten events per second: nine of progress, one trial."""
    began = time.monotonic()
    for n in range(int(seconds * PER_S)):
        time.sleep(max(0.0, began + n / PER_S - time.monotonic()))
        if n % PER_S == 0:
            row = detailed(replace(trial(5 + n // PER_S, 1.9 - n / PER_S / 100, 0.72 + n / 50_000), n_run=900))
            server.add_trials(study, [row])
            tell(server, study, "trial", {"no": row.record.no})
        else:
            progress = {**PROGRESS, "completed": n % 60, "total": 60}
            with server.database.writing() as connection:
                studies.update(connection, study, progress=progress)
            tell(server, study, "progress", progress)


def report(browser: Browser) -> tuple[float, int, int]:
    """Megabytes of a report of 300 trials, requests it makes beside its own file, charts it draws."""
    base = example_trials()
    trials = [{**base[n % 12], "no": n + 1, "seen": {METRIC: 0.88 + n % 37 / 1000}} for n in range(300)]
    html = render_report(
        example_read(trials),
        sensitivity=example_sensitivity(),
        operators=example_operators(),
        model_name="net.onnx",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(html, "utf-8")
        context = browser.new_context(offline=True)
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        shown = context.new_page()
        shown.goto(path.as_uri())
        shown.wait_for_selector("[data-chart].js-plotly-plot")
        n = shown.locator("[data-chart].js-plotly-plot").count()
        context.close()
        return path.stat().st_size / 1e6, len([one for one in asked if not one.startswith(("file:", "data:"))]), n


def measured(given: argparse.Namespace) -> Iterator[Figure]:
    """All figures, each as it is known."""
    times = pages_ms(given.rounds)
    p95 = {path: found[int(0.95 * (len(found) - 1))] for path, found in times.items()}
    for path, value in p95.items():
        median = times[path][len(times[path]) // 2]
        yield Figure(
            name=f"`{path}` p95", text=f"{value:.0f} ms (median {median:.0f} ms)", value=value, goal=200, unit="ms"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        longest, blocks, n = longest_task_ms(browser, given.seconds)
        told = f"{longest:.0f} ms" if longest else "below 50 ms, which browsers do not tell"
        text = f"{told} ({PER_S} events/s for {given.seconds:g} s, {blocks} above 100 ms, {n} trials shown)"
        yield Figure(name="longest task of the main thread", text=text, value=longest, goal=100, unit="ms")
        megabytes, requests, charts = report(browser)
        yield Figure(name="report of 300 trials", text=f"{megabytes:.2f} MB", value=megabytes, goal=8, unit="MB")
        yield Figure(
            name="requests of the report, offline", text=f"{requests} ({charts} charts)", value=requests, goal=0
        )
        browser.close()


def main(arguments: list[str] | None = None) -> Any:
    """Measure everything, print it and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args(arguments)
    where, figures = f"{circumstances(os.getloadavg()[0])}; SQLite, Chromium", []
    for figure in measured(given):
        print(figure.line(), flush=True)
        figures.append(figure)
    if given.write is not None:
        command = "python -m benchmarks.pages --write benchmarks/pages.md"
        given.write.write_text(page("Pages", where, command, figures))


if __name__ == "__main__":
    main()
