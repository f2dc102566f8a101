"""The page of attacks and faults has every case, and the tests it names are there."""

import re

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/threats.md").read_text()
COUNTS = {"H": 21, "E": 7, "S": 12, "F": 23}


def test_every_case_has_a_line() -> None:
    found = re.findall(r"^\| ([HESF]\d+) \|", PAGE, re.MULTILINE)
    assert found == [f"{kind}{n}" for kind, most in COUNTS.items() for n in range(1, most + 1)]


def test_the_tests_it_names_are_there() -> None:
    named, path = [], ""
    for found in re.finditer(r"`((?:tests/[\w/]+\.py)?)::(\w+)`", PAGE):
        path = found[1] or path
        named.append((path, found[2]))
    assert len(named) > 60
    for path, name in named:
        assert re.search(rf"^ *def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"
