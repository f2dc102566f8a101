"""Bytes that change or vanish under the store: the study that needs them fails with a cause, the next one runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.study.small import Files, conv_net, write
from tests.workers.installation import Installation

TOP1 = [{"metric": "top1", "max_drop": 0.01}]


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("role", ["model", "data.evaluation"])
@pytest.mark.parametrize(
    ("harm", "code"), [(truncated, "damaged-input"), (changed, "damaged-input"), (os.unlink, "missing-input")]
)
def test_an_input_that_was_damaged_or_deleted_fails_its_study_only(
    shared: Installation, small: Files, tmp_path: Path, role: str, harm: Callable[[Path], None], code: str
) -> None:
    seed = int(np.frombuffer(os.urandom(4), np.uint32)[0])  # bytes that no other test needs
    files = write(tmp_path, conv_net(seed=seed), n=40)
    data = tmp_path / "own.npz"
    np.savez(data, **dict(np.load(files.evaluation)), extra=np.array(seed))
    bad = shared.put(files.model if role == "model" else data)
    path = shared.store.path(bad["digest"])
    path.chmod(0o640)
    harm(path)
    row = shared.wait(shared.submit(small, inputs={role: bad}, goal=TOP1))
    assert (row.state, row.error and row.error["code"], row.error and row.error["blame"]) == ("failed", code, "system")
    assert row.error is not None
    assert bad["digest"] in row.error["message"]
    assert str(shared.folder) not in row.error["message"]
    assert shared.wait(shared.submit_random({"model": shared.put(small.model)})).state == "succeeded"
