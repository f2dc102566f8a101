"""The report in a real browser: its policy lets everything run that it needs, and nothing else is asked for."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from search.export.report.render import render_report
from tests.export.report_example import example_operators, example_read, example_sensitivity, example_trials

HOSTILE = "<img src=x onerror=document.title='owned'><a href='https://example.invalid'>x</a><b>y</b>"


def _open(page: Path, home: Path) -> subprocess.CompletedProcess[str]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "Chromium is missing: apt-get install chromium."
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--enable-logging=stderr",
    ]
    command = [chromium, *options, f"--user-data-dir={home}", "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["conv1", HOSTILE])
def test_charts_are_drawn_and_the_console_stays_silent(tmp_path: Path, name: str) -> None:
    sensitivity, trials, operators = example_sensitivity(), example_trials(), example_operators()
    sensitivity[0]["op_name"] = trials[0]["stage"] = name
    operators[0] = replace(operators[0], name=name)
    page = tmp_path / "report.html"
    html = render_report(example_read(trials), sensitivity=sensitivity, operators=operators, model_name=name)
    page.write_text(html, "utf-8")
    done = _open(page, tmp_path / "home")
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert len(re.findall(r'class="plot js-plotly-plot"', done.stdout)) == 4
    dom = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.S)
    assert "<title>owned" not in dom
    assert "<img" not in dom
    assert "xlink:href" not in dom
