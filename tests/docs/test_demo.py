"""The demo output in the README is what the command prints: same words and form; numbers may differ by processor."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks, pages

NUMBER = re.compile(r"-?\d+(\.\d+)?")
SPACES = re.compile(r" +")


def forms(text: str) -> list[str]:
    """Lines with every number replaced by ``#`` and runs of spaces by one."""
    return [SPACES.sub(" ", NUMBER.sub("#", line)).strip() for line in text.splitlines() if line.strip()]


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from bitbudget.__main__ import main; main()", "search"]
    job = str(ROOT / "examples/digits/job.yaml")
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(
        [*command, "--spec", job, "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = next(block for block in blocks("text") if block.page == "README.md")
    printed = set(forms(done.stderr + done.stdout))
    for form in forms(shown.text):
        if not form.startswith(("report:", "trial", "groups:")):
            assert form in printed, form


def test_the_readme_says_on_which_machine_and_when() -> None:
    after = pages()["README.md"].split("<!-- demo -->", 1)[1].split("```", 2)[2][:400]
    assert re.search(r"\d{4}", after)
    assert "two cores" in after
