"""What a user can name or meet is documented: options, keys, metrics, methods, targets, codes, errors, findings."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from bitbudget._commands import ALL
from search import errors
from search.precision import Format, Precision
from search.quant.observers.registry import METHODS
from search.spec.goals import LIMITS
from search.spec.job import CalibrationMethod, JobSpec
from search.spec.metric_names import METRICS
from search.targets.target import target_names
from search.work.kinds.registry import KINDS
from service.cli.commands import application
from service.cli.exits import Exit
from tests.docs.pages import ROOT, is_named, pages, prose

COMMANDS = typer.main.get_command(application(ALL)).commands  # type: ignore[attr-defined]


ELSEWHERE = {
    "--url": "submit",
    "--api-key-file": "submit",
    "--data-dir": "serve",
    "--database-url": "serve",
}
"""Options that the README says once for all commands that have them, and where."""


def options() -> list[tuple[str, str]]:
    """Command and option, every spelling; those of ``keys create`` and the like belong to ``keys``."""
    return [
        (name, spelling)
        for name, command in COMMANDS.items()
        for one in (command, *getattr(command, "commands", {}).values())
        for param in one.params
        for spelling in (*param.opts, *param.secondary_opts)
        if spelling.startswith("--") and spelling != "--help"
    ]


def said_of(command: str) -> str:
    """What the README's tables say of a command: its own table, or its row of the common one."""
    blocks = pages()["README.md"].split("## Options of the command line", 1)[1].split("\n\n")
    named = re.compile(rf"`bitbudget {command}(?![\w-])")
    found = [block for block in blocks if named.search(block.lstrip("\n").partition("\n")[0])]
    if not found:
        found = [row for block in blocks for row in block.splitlines() if named.search(row)]
    assert len(found) == 1, command
    inherited = said_of("search") if "the options of `search`" in found[0] else ""
    return found[0] + inherited


def keys(model: type[BaseModel]) -> Iterator[str]:
    """Every key of the job file below ``model``."""
    for name, field in model.model_fields.items():
        yield field.alias or name
        for inner in inner_models(field.annotation):
            yield from keys(inner)


def inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from inner_models(argument)


def sources(folder: str) -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / folder).rglob("*.py")))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_are_in_the_readme(name: str) -> None:
    assert f"bitbudget {name}" in pages()["README.md"]


@pytest.mark.parametrize(("command", "option"), options())
def test_options_are_in_the_readme(command: str, option: str) -> None:
    assert is_said(option, command) or is_said(option, ELSEWHERE.get(option, command)), f"{command} {option}"


def is_said(option: str, command: str) -> bool:
    return re.search(rf"{re.escape(option)}(?![\w-])", said_of(command)) is not None


def test_an_option_of_another_command_is_not_taken_for_ones_own() -> None:
    assert is_said("--wait", "submit")
    assert is_said("--strategy", "submit")
    assert is_said("--file", "download")
    for option, command in (("--wait", "serve"), ("--file", "cancel"), ("--no-auth", "worker"), ("--out", "check")):
        assert not is_said(option, command), f"{command} {option}"


@pytest.mark.parametrize("code", list(Exit), ids=lambda code: code.name)
def test_exit_codes_are_in_the_readme(code: Exit) -> None:
    assert re.search(rf"^\| {code.value} \|", pages()["README.md"], re.MULTILINE)


@pytest.mark.parametrize("key", sorted(set(keys(JobSpec))))
def test_keys_of_the_job_file_are_documented(key: str) -> None:
    assert is_named(key, pages()["docs/job-spec.md"]) or is_named_at_the_end(key)


def is_named_at_the_end(key: str) -> bool:
    """Whether the key stands as the last part of a dotted one, as in ``data.calibration``."""
    return re.search(rf"`[\w.<>]*\.{re.escape(key)}`", pages()["docs/job-spec.md"]) is not None


@pytest.mark.parametrize("name", sorted(METRICS))
def test_metrics_are_documented(name: str) -> None:
    assert re.search(rf"^\| [^|]*`{name}`", pages()["docs/job-spec.md"], re.MULTILINE)


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_are_documented(limit: str) -> None:
    assert is_named(limit, pages()["docs/job-spec.md"])


def test_calibration_methods_are_documented_with_their_formula() -> None:
    assert set(get_args(CalibrationMethod)) == set(METHODS)
    for name in METHODS:
        assert is_named(name, pages()["docs/job-spec.md"]), name
        assert f"**{name}**" in pages()["docs/numerics.md"], name


@pytest.mark.parametrize("name", target_names())
def test_targets_are_documented(name: str) -> None:
    assert is_named(name, pages()["README.md"])
    assert is_named(name, pages()["docs/targets.md"])


def test_precisions_and_formats_are_in_the_glossary() -> None:
    for one in (*Format, *Precision):
        assert one.value in pages()["docs/glossary.md"]


def error_classes() -> list[type[Exception]]:
    return [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.SearchError)]


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_errors_are_documented(error: type[Exception]) -> None:
    assert re.search(rf"^\| `{error.__name__}` \|", pages()["docs/results.md"], re.MULTILINE)


def finding_codes() -> list[str]:
    text = sources("search")
    named = re.findall(r'\bcode="([a-z0-9-]+)"', text)
    return sorted({*named, *re.findall(r'\bNote\(\s*"([a-z0-9-]+)"', text)})


@pytest.mark.parametrize("code", finding_codes())
def test_findings_are_documented(code: str) -> None:
    assert re.search(rf"^\| `{code}` \|", pages()["docs/results.md"], re.MULTILINE)


def test_words_of_the_glossary_exist_in_the_code() -> None:
    text = sources("search") + sources("service") + sources("workers")
    for name in re.findall(r"\(`([A-Z]\w+)`\)", pages()["docs/glossary.md"]):
        assert re.search(rf"^(class {name}\b|{name} = )", text, re.MULTILINE), name


def test_files_that_pages_name_exist() -> None:
    for path in re.findall(r"`((?:search|service|docs|examples|benchmarks|tests)/[\w/.-]+)`", prose()):
        assert (ROOT / path).exists() or (ROOT / f"{path}.py").exists(), path


def test_kinds_of_work_have_a_runner_and_the_page_on_architecture_lists_the_rest() -> None:
    assert "item" in pages()["docs/architecture.md"]
    assert set(KINDS) >= {"check", "calibrate", "baseline", "evaluate", "recheck", "export"}


@pytest.mark.parametrize("key", ["remedies", "priority", "timeout_s", "sampler"])
def test_keys_said_to_have_no_effect_are_not_read(key: str) -> None:
    section = pages()["docs/job-spec.md"].split("Not in effect yet", 1)[1]
    read = [
        path
        for folder in ("search", "service")
        for path in (ROOT / folder).rglob("*.py")
        if "spec" not in path.parts and re.search(rf"\.{key}\b", path.read_text())
    ]
    assert bool(read) != (key in section), f"{key}: {read}"
