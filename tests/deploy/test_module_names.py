"""Modules are named by imports only: a wheel has them under other names, which a name in a text would miss."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PACKAGES = ("bitbudget", "search", "service", "workers", "migrations")
spec = importlib.util.spec_from_file_location("bitbudget_setup", ROOT / "setup.py")
assert spec is not None
assert spec.loader is not None
setup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup)


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }


def texts(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_no_text_is_the_name_of_a_module() -> None:
    dotted = {name for name in modules() if "." in name}
    assert len(dotted) > 300
    for path in modules().values():
        assert not {one.partition(":")[0] for one in texts(path)} & dotted, path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from search.errors import UsageError", "from bitbudget._search.errors import UsageError"),
        ("from service import web", "from bitbudget._service import web"),
        ("def f():\n    import workers.x as y", "def f():\n    import bitbudget._workers.x as y"),
        ("from searching import x\nimport services", "from searching import x\nimport services"),
        ("from .search import x", "from .search import x"),
        ("from bitbudget.results import y", "from bitbudget.results import y"),
        ('x = "from search.errors import y"', 'x = "from search.errors import y"'),
        ('"""A text:\nfrom search import x\n"""', '"""A text:\nfrom search import x\n"""'),
    ],
)
def test_only_imports_of_our_packages_are_rewritten(before: str, after: str) -> None:
    assert setup.with_installed_names(before, where="here") == after


def test_an_import_that_binds_a_name_which_is_not_installed_stops_the_build() -> None:
    with pytest.raises(SystemExit, match=r"here:2: import by 'from package import name'"):
        setup.with_installed_names("x = 1\nimport search.errors", where="here")


def test_every_module_can_be_built() -> None:
    for path in modules().values():
        ast.parse(setup.with_installed_names(path.read_text(), where=str(path)))
