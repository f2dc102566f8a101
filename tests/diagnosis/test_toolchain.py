from __future__ import annotations

import pytest

from search.diagnosis.toolchain import toolchain_findings
from search.targets.target import load_target


@pytest.mark.parametrize(("name", "version", "is_old"), [
    ("j6m", "3.0.17", True), ("j6m", "3.9", True), ("j6m", "3.9.1", False), ("j6p", None, False),
    ("j6p", "3.10", False), ("ort-cpu", None, False), ("tx5105c", None, False),
])  # fmt: skip
def test_only_an_older_tool_chain_is_warned_of(name, version, is_old):
    found = list(toolchain_findings(load_target(name, toolchain=version)))
    assert [one.code for one in found] == ["old-toolchain"] * is_old
