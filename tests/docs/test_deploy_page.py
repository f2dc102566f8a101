"""What docs/deploy.md tells to type works: from curl, from Python, backup and restore."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages
from tests.service.cli.served import Served, served
from tests.service.command import bitbudget

pytestmark = pytest.mark.slow
DIGITS = ROOT / "examples/digits"


def block(section: str) -> str:
    """The first block of a section."""
    text = pages()["docs/deploy.md"].split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("deploy") / "server") as found:
        yield found


def test_the_lines_for_curl(server: Served, tmp_path: Path) -> None:
    shutil.copytree(DIGITS, tmp_path / "examples/digits")
    script = "set -eu\n" + block("From curl")
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=server.variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "event: trial" in done.stdout
    assert '"outcome":"met"' in done.stdout
    assert (tmp_path / "model.qdq.onnx").stat().st_size > 1000
    again = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=server.variables, capture_output=True, check=False)
    assert again.returncode == 0
    with server.client() as client:
        assert len(client.studies.list().items) == 1  # the key made it the same study


def test_the_lines_for_python(server: Served, tmp_path: Path) -> None:
    shutil.copy(DIGITS / "digits.onnx", tmp_path / "model.onnx")
    shutil.copy(DIGITS / "evaluation.npz", tmp_path / "data.npz")
    script = block("From Python").replace("https://bitbudget.example.com", server.url)
    given = [sys.executable, "-c", f"key = {server.key!r}\n{script}"]
    environment = {**server.variables, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(given, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/result.json").is_file()


def test_a_copy_that_was_made_while_it_runs_is_a_server_with_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backup and restore as the page says: the database first, the blobs after it."""
    monkeypatch.delenv("BITBUDGET_URL", raising=False)
    with served(tmp_path / "first") as first:
        done = first.run("submit", "--spec", DIGITS / "job.yaml", "--wait")
        assert done.returncode == 0, done.stderr
        data, copy = first.folder / "data", tmp_path / "second/data"
        copy.mkdir(parents=True)
        backup = first.run("migrate", "--data-dir", data, "--backup", copy / "bitbudget.sqlite")
        assert backup.returncode == 0, backup.stderr
        shutil.copytree(data / "blobs", copy / "blobs")
        with first.client() as client:
            (study,) = client.studies.list().items
    shutil.rmtree(first.folder / "data")
    for check in (("migrate", "--check"), ("doctor",)):
        checked = bitbudget(*check, "--data-dir", copy)
        assert checked.code == 0, checked.out + checked.err
    with served(tmp_path / "second") as second:
        second.key = first.key  # keys are part of it
        got = second.run("download", study.id, "--output", tmp_path / "out")
        assert got.returncode == 0, got.stderr
        assert (tmp_path / "out/report.html").is_file()
        again = second.run("submit", "--spec", DIGITS / "job.yaml", "--wait", "--reuse-finished", "--json")
        assert again.returncode == 0, again.stderr
        assert study.id in again.stdout
