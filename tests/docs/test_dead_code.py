"""What only tests call is removed or wired: every public name of the core is used by the core, or has a reason."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
USED_BY = ("search", "service", "workers", "migrations", "bitbudget", "benchmarks", "examples")
WITHOUT_A_CALLER = {
    "mean_squared_error": "one grid of what range_errors does for many; the form numerics.md writes out",
    "run_task": "for callers that keep nothing between tasks: docs/architecture.md",
    "next_tasks": "for callers that keep nothing between tasks: docs/architecture.md",
    "construct_mapping": "called by PyYAML",
    "load_job": "a job from its text, for programs that hold one",
    "deploy_schema": "makes the committed schema of deploy.json, which tools of others read",
}


def public_names(package: str) -> dict[str, str]:
    """Module-level functions and classes, and methods of classes, to the file that defines them."""
    names = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            is_named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if is_named and not node.decorator_list:
                names[node.name] = str(path.relative_to(ROOT))
    return names


def words(*packages: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for package in packages:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in (".py", ".j2", ".js"):
                found.update(re.findall(r"\w+", path.read_text()))
    return found


def unused(package: str) -> dict[str, str]:
    seen = words(*USED_BY)
    return {name: path for name, path in public_names(package).items() if seen[name] < 2}


def test_every_public_name_of_the_core_is_used_beside_its_tests():
    assert {name: path for name, path in unused("search").items() if name not in WITHOUT_A_CALLER} == {}


def test_the_exceptions_exist():
    assert set(WITHOUT_A_CALLER) <= set(public_names("search"))
