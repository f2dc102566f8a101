"""Code blocks of the pages run, load or parse."""

import json
import shlex
from pathlib import Path

import pytest
import typer

from bitbudget._commands import ALL
from search.spec.load import load_job
from search.targets.target import load_target
from service.cli.commands import application
from tests.docs.pages import ROOT, Block, blocks

KNOWN = {"sh", "yaml", "toml", "json", "python", "text", ""}


def lines(*, beginning: str) -> list[str]:
    """Command lines in shell blocks that begin with a word; comments dropped."""
    found = [line.strip() for block in blocks("sh") for line in block.text.splitlines()]
    return [line for line in found if line.split(" ", 1)[0] == beginning]


def test_every_block_says_its_language_and_a_test_knows_it() -> None:
    every = blocks("sh", "yaml", "toml", "json", "python", "text", "", "console", "bash", "toml", "xml")
    assert {block.language for block in every} <= KNOWN


@pytest.mark.parametrize("line", lines(beginning="make"))
def test_make_targets_exist(line: str) -> None:
    targets = {entry.split(":")[0] for entry in (ROOT / "Makefile").read_text().splitlines() if ":" in entry}
    assert shlex.split(line, comments=True)[1] in targets


@pytest.mark.parametrize("line", lines(beginning="bitbudget"))
def test_command_lines_parse(line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    commands = typer.main.get_command(application(ALL)).commands  # type: ignore[attr-defined]
    context = commands[name].make_context(name, arguments)
    assert context.params


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.page)
def test_job_files_are_valid(block: Block) -> None:
    assert load_job(block.text).schema_ == "bitbudget.job/1"


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.page)
def test_target_files_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "target.toml"
    path.write_text(block.text)
    assert load_target(str(path), toolchain=None).name


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.page)
def test_json_parses(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.page)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)  # what an earlier run left in out/ has no say
    exec(compile(block.text, block.page, "exec"), {})


def test_the_example_job_is_valid() -> None:
    assert load_job((ROOT / "examples/digits/job.yaml").read_text()).target.name == "j6m"
