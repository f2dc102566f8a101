"""A memory limit is either enough, or it is said that it is not: no value of it makes a study fail in another way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from bitbudget._commands.checks import LEAST_FOR_MODELS
from search.errors import OutOfMemoryError
from search.runtime import session as session_module
from search.runtime.session import Level, Session
from service.store.settings import Settings
from tests.builders import model, node
from workers.failures import failure_of
from workers.pool import Pool

MIB = 2**20


def taken(folder: Path) -> int:
    """Address space of an evaluator that has done nothing, bytes."""

    async def ask() -> int:
        pool = Pool(Settings(data_dir=folder, evaluator_memory_bytes=2**33), folder)
        try:
            async with pool.evaluator("x") as process:
                await process.answer()
                return process.address_space()[0]
        finally:
            await pool.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("beside", [8 * MIB, 200 * MIB, 700 * MIB], ids=lambda n: f"{n // MIB} MiB")
def test_a_study_succeeds_or_says_memory(service, small, tmp_path, beside):
    study = service.submit(small, goal=[{"metric": "top1", "max_drop": 0.01}])
    service.start(evaluator_memory_bytes=taken(tmp_path) + beside)
    row = service.wait(study)
    if row.state == "failed":
        assert (row.error["code"], row.error["blame"]) == ("memory-limit", "limit"), row.error
        assert beside < LEAST_FOR_MODELS
    else:
        assert row.state == "succeeded"


class Refusing:
    """A runtime session that gets no memory."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, *_: object) -> object:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        Fail("std::bad_alloc"),
        RuntimeException("Failed to allocate memory for requested buffer of size 9"),
        RuntimeException("pthread_create failed, error code: 11 error msg: Resource temporarily unavailable"),
        MemoryError(),
    ],
    ids=["bad_alloc", "arena", "thread", "python"],
)
def test_want_of_memory_is_called_so_wherever_it_arises(error: Exception) -> None:
    found = Session(model([node("Relu", "x", "y")], ["x[1,3]"], ["y[1,3]"], {}), level=Level.PLAIN)
    found._session = Refusing(error)
    assert isinstance(error, (*session_module._RUNTIME_ERRORS, MemoryError))
    with pytest.raises(OutOfMemoryError) as caught:
        found.run({"x": np.zeros((1, 3), np.float32)})
    failure = failure_of(caught.value)
    assert (failure.code, failure.blame) == ("memory-limit", "limit")
