"""The doctor tries the limits that are set instead of repeating them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitbudget._commands.checks import LEAST_FOR_MODELS, Level, judged_memory
from service.store.settings import GIB, Settings
from tests.service.command import bitbudget


def evaluator(folder: Path) -> dict[str, str]:
    done = bitbudget("doctor", "--data-dir", folder, "--json")
    return next(one for one in json.loads(done.out)["checks"] if one["name"] == "evaluator")


def test_a_memory_limit_that_leaves_no_room_for_a_model_is_bad_and_the_one_it_names_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITBUDGET_EVALUATOR_MEMORY_BYTES", str(GIB // 2))
    small = evaluator(tmp_path)
    assert small["level"] == "bad"
    needed = next(word for word in small["remedy"].split() if word.isdecimal())
    monkeypatch.setenv("BITBUDGET_EVALUATOR_MEMORY_BYTES", str(int(needed) + GIB // 8))
    assert evaluator(tmp_path)["level"] == "ok"


@pytest.mark.parametrize(
    ("allowed", "level"),
    [
        (None, Level.BAD),  # the kernel was never told
        (4 * GIB, Level.BAD),  # it was told something else
        (2 * GIB, Level.OK),
        (GIB + LEAST_FOR_MODELS - 1, Level.BAD),
    ],
)
def test_what_the_kernel_says_decides(allowed: int | None, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitbudget._commands.checks.memory_bytes", lambda: 8 * GIB)
    settings = Settings(evaluator_memory_bytes=2 * GIB, slots=2)
    assert judged_memory("", GIB, allowed, settings).level is level


def test_evaluators_that_may_need_more_than_the_machine_has_are_worth_knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitbudget._commands.checks.memory_bytes", lambda: 8 * GIB)
    found = judged_memory("", GIB, 4 * GIB, Settings(evaluator_memory_bytes=4 * GIB, slots=3))
    assert (found.level, "3 of them" in found.text) == (Level.NOTE, True)
