"""What ``import bitbudget`` gives: a short list of names, loaded when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bitbudget

NAMES = [
    "AsyncClient",
    "CheckedModel",
    "Client",
    "ExportMismatchError",
    "Goal",
    "InvalidDataError",
    "InvalidModelError",
    "Job",
    "Metric",
    "PinConflictError",
    "Result",
    "Rows",
    "Samples",
    "SearchError",
    "SelfTestError",
    "Trial",
    "UnsupportedModelError",
    "UsageError",
    "__version__",
    "check",
    "export",
    "load_result",
    "metric",
    "search",
    "targets",
]


def test_the_public_names_are_these() -> None:
    assert bitbudget.__all__ == NAMES
    assert len(NAMES) <= 25
    assert dir(bitbudget) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(bitbudget, name)
    assert name == "__version__" or found.__doc__


def test_any_other_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        bitbudget.serach  # noqa: B018


def test_importing_it_loads_nothing_that_computes() -> None:
    code = (
        "import sys, bitbudget; bitbudget.UsageError; print({'numpy', 'onnx', 'pydantic', 'typer'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
