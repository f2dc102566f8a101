"""The lock file has every dependency of an installation with hashes; its audit never takes silence for an answer."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import tomllib
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.pages import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
EXTRAS = ("optuna", "s3", "service")


def locked() -> dict[str, list[str]]:
    """Package to its versions: of some there is one for each range of Python."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", LOCK, re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def test_every_dependency_is_in_it_at_a_version_that_is_allowed() -> None:
    wanted = [*PROJECT["dependencies"], *(one for extra in EXTRAS for one in PROJECT["optional-dependencies"][extra])]
    for text in wanted:
        requirement = Requirement(text)
        versions = locked().get(canonicalize_name(requirement.name), [])
        assert versions, text
        assert all(version in requirement.specifier for version in versions), (text, versions)


def test_every_package_in_it_has_hashes() -> None:
    entries = re.split(r"^(?=[\w.-]+(?:\[[^\]]*\])?==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) >= len(locked()) > 50
    assert [one.partition("\n")[0] for one in entries if "--hash=sha256:" not in one] == []


def test_the_image_is_made_from_it() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert "--no-deps ." in text


def audit() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("audit", str(ROOT / ".ci/audit"))
    spec = importlib.util.spec_from_loader("audit", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "told"),
    [
        ([GOOD], 0, "1 locked packages, no known vulnerability"),
        ([GOOD, BAD], 1, "b 2: CVE-1 (fixed in 3)"),
        ([BAD, UNKNOWN], 1, "b 2: CVE-1 (fixed in 3)"),
        ([GOOD, UNKNOWN], 3, "NOT AUDITED: 1 of 2 packages (c"),
        ([], 3, "NOT AUDITED"),
    ],
)
def test_silence_is_no_answer(
    packages: list[dict[str, Any]], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit().verdict(packages) == code
    shown = capsys.readouterr()
    assert told in shown.out + shown.err
