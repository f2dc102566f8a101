"""Evaluators come and go one by one, whoever is cancelled while it waits for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.store.settings import Settings
from tests.workers.installation import is_running
from workers import pool as pool_module
from workers.evaluator_process import EvaluatorProcess
from workers.fork_server import ForkServer
from workers.pool import Pool

WAIT_S = 60.0


@asynccontextmanager
async def fork_server(folder: Path) -> AsyncIterator[ForkServer]:
    found = await ForkServer.start(Settings(data_dir=folder, evaluator_memory_bytes=2**33))
    try:
        yield found
    finally:
        await found.close()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await asyncio.wait_for(work(), WAIT_S)
        await asyncio.sleep(0.2)  # what was closed has ended

    asyncio.run(within())


async def answers(process: EvaluatorProcess) -> bool:
    """Whether it answers a request that asks for nothing."""
    return [line async for line in process.ask({"op": "run"}, lambda digest: None)] == []


async def gone(pid: int) -> bool:
    deadline = time.monotonic() + WAIT_S
    while is_running(pid) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return not is_running(pid)


def test_one_who_is_cancelled_while_an_evaluator_ends_takes_no_other_with_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with fork_server(tmp_path) as found:
            process = EvaluatorProcess(await found.spawn(tmp_path), tmp_path / "a", WAIT_S)
            assert await answers(process)
            ending = asyncio.create_task(process.kill())
            await asyncio.sleep(0)
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending
            (tmp_path / "b").mkdir()
            other = EvaluatorProcess(await found.spawn(tmp_path / "b"), tmp_path / "b", WAIT_S)
            assert await answers(other)
            await other.kill()
            assert found.is_alive

    run(work)


def test_an_evaluator_belongs_to_its_pipe_though_others_were_cancelled_before(tmp_path: Path) -> None:
    async def work() -> None:
        async with fork_server(tmp_path) as found:
            for turns in range(12):
                early = asyncio.create_task(found.spawn(tmp_path))
                for _ in range(turns):
                    await asyncio.sleep(0)
                early.cancel()
                folder = tmp_path / f"{turns}"
                folder.mkdir()
                handle = await found.spawn(folder)
                process = EvaluatorProcess(handle, folder, WAIT_S)
                assert await answers(process)
                assert Path(f"/proc/{handle.pid}/cwd").resolve() == folder
                await process.kill()
                assert await gone(handle.pid)
                if early.done() and not early.cancelled():
                    early.result().close()

    run(work)


def test_one_that_has_just_been_born_can_be_ended(tmp_path: Path) -> None:
    async def work() -> None:
        async with fork_server(tmp_path) as found:
            for n in range(20):
                (tmp_path / f"{n}").mkdir()
                handle = await found.spawn(tmp_path / f"{n}")
                await EvaluatorProcess(handle, tmp_path / f"{n}", WAIT_S).kill()
                assert await gone(handle.pid)

    run(work)


def test_an_evaluator_that_dies_at_once_is_known_as_dead(tmp_path: Path) -> None:
    async def work() -> None:
        async with fork_server(tmp_path) as found:
            handle = await found.spawn(tmp_path / "nowhere")
            assert await handle.ended != 0
            handle.close()
            again = await found.spawn(tmp_path)
            assert is_running(again.pid)
            again.close()

    run(work)


def test_nobody_takes_an_idle_evaluator_while_idle_ones_are_ended(tmp_path: Path) -> None:
    async def work() -> None:
        pool = Pool(Settings(data_dir=tmp_path, slots=2, evaluator_memory_bytes=2**33), tmp_path)
        processes = []
        for study in ("a", "b"):
            async with pool.evaluator(study) as process:
                process.study_id = study
                processes.append(process)
        ending = asyncio.create_task(pool.keep_only(()))
        await asyncio.sleep(0)
        async with pool.evaluator("b") as process:
            assert process not in processes
            assert await answers(process)
        await ending
        assert not any(one.is_alive for one in processes)
        await pool.close()

    run(work)


@pytest.mark.parametrize(("memory_bytes", "kept"), [(2.0**33, {"a", "b", "c"}), (2.0**20, {"c"})])
def test_studies_that_take_turns_keep_their_evaluators_while_there_is_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: float, kept: set[str]
) -> None:
    monkeypatch.setattr(pool_module, "memory_bytes", lambda: memory_bytes / pool_module.IDLE_SHARE)

    async def work() -> None:
        pool = Pool(Settings(data_dir=tmp_path, slots=1, evaluator_memory_bytes=2**33), tmp_path)
        first = {}
        for study in "abc":
            async with pool.evaluator(study) as process:
                process.study_id, first[study] = study, process
        assert {study for study, process in first.items() if process.is_alive} == kept
        for study in sorted(kept):
            async with pool.evaluator(study) as process:
                assert process is first[study]
        await pool.close()

    run(work)
