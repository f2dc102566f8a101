"""The registry of problems: everything in it can happen, everything that happens is in it, and all is documented."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.http import answers
from service.problems import KINDS, TYPE_PREFIX, ServiceError

ROOT = Path(__file__).parents[2]


def raised() -> Iterator[str]:
    """First argument of every ``ServiceError(...)`` in the source."""
    for folder in ("service", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ServiceError":
                    first = node.args[0]
                    if isinstance(first, ast.Constant):
                        yield str(first.value)


def test_the_registry_has_exactly_the_codes_that_can_be_answered() -> None:
    framework = {*answers._BY_STATUS.values(), *answers._OWN.values(), "internal-error"}
    assert {*raised(), *framework} == set(KINDS)


def test_each_is_documented_with_its_status_and_its_way_out() -> None:
    page = (ROOT / "docs" / "problems.md").read_text()
    for kind in KINDS.values():
        assert f"| `{kind.code}` | {kind.status} | {kind.title} | {kind.hint} |" in page
    assert TYPE_PREFIX in page


def test_an_unknown_code_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        ServiceError("no-such-code", "x")


def test_the_framework_s_statuses_keep_their_number() -> None:
    for status, code in answers._BY_STATUS.items():
        assert KINDS[code].status == status


def test_every_refusal_of_what_was_asked_points_somewhere() -> None:
    for kind in KINDS.values():
        error = ServiceError(kind.code, "the detail")
        asked = kind.status in (409, 412, 422)
        assert [one.message for one in error.pointers] == (["the detail"] if asked else []), kind.code
