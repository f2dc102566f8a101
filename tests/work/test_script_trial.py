"""The script is tried before it is delivered: in a process, or in this one where walls allow no other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from search.work import script_trial
from search.work.script_trial import NEEDED, script_failure

ENDINGS = {
    "well": ("import json; print(json.dumps({}))", None),
    "error": ("raise ValueError('no such axis')", "ValueError: no such axis"),
    "code": ("import sys; print('x: scale differs'); sys.exit(1)", "x: scale differs"),
    "message": ("raise SystemExit('another model')", "another model"),
    "silent": ("import sys; sys.exit(3)", "exit code"),
}


def files(text):
    return {path: text.encode() if path == "ort_quantize.py" else b"{}" for path in NEEDED}


@pytest.mark.parametrize("walls", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_how_it_ends_is_told(monkeypatch, ending, walls):
    if walls:
        monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: (_ for _ in ()).throw(PermissionError()))
    text, told = ENDINGS[ending]
    arguments = list(sys.argv)
    found = script_failure(files(text))
    assert sys.argv == arguments
    if told is None:
        assert found is None
    else:
        assert found is not None
        assert told in found


def test_a_process_that_dies_costs_nothing_else():
    assert script_failure(files("import os; os.abort()")) is not None


def test_a_script_that_does_not_end_is_given_up(monkeypatch):
    monkeypatch.setattr(script_trial, "MAX_SECONDS", 0.2)
    assert "longer" in (script_failure(files("import time; time.sleep(60)")) or "")


def test_files_it_reads_must_be_there():
    assert script_failure({"ort_quantize.py": b""}) == "a file that it reads is missing"
