"""What CONTRIBUTING.md sends people to is there."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, pages


def test_every_path_in_it_exists() -> None:
    text = pages()["CONTRIBUTING.md"]
    paths = re.findall(r"(?<![\w/])((?:search|service|workers|tests|docs|bitbudget)/[\w./-]*\w)", text)
    assert len(set(paths)) > 25
    for path in paths:
        assert (ROOT / path).exists(), path
