"""The pool of evaluators of one worker: as many at work as it has slots, kept warm between tasks of their study.

A process serves one study in its life; it is forked from the fork server, which has loaded the libraries. Studies take
turns, round by round: those in turn keep their evaluators, with model and data loaded, as long as there is memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from service.machine import memory_bytes
from service.store.settings import Settings
from workers.evaluator_process import EvaluatorProcess
from workers.fork_server import EvaluatorDiedError, ForkServer

MAX_PAUSE_S = 30.0
MOST_WARM = 8
"""Idle evaluators kept beside as many as there are slots."""
IDLE_SHARE = 0.25
"""Of this machine's memory: what idle evaluators may hold together, and never more than one at work may."""
_log = logging.getLogger(__name__)


class Pool:
    """Evaluators; to be used from one event loop."""

    def __init__(self, settings: Settings, place: Path) -> None:
        self._settings = settings
        self._place = place
        self._slots = asyncio.Semaphore(settings.slots)
        self._warm: list[EvaluatorProcess] = []  # idle, longest first
        self._busy: set[EvaluatorProcess] = set()
        self._fork_server: ForkServer | None = None
        self._starting = asyncio.Lock()
        self._numbers = count()

    async def environment(self) -> Mapping[str, str]:
        """What results of this worker's evaluators may depend on besides their inputs."""
        return (await self._ready()).environment

    async def walls(self) -> tuple[str, ...]:
        """What the kernel of this machine encloses evaluators with."""
        return (await self._ready()).walls

    @asynccontextmanager
    async def evaluator(self, study_id: str) -> AsyncIterator[EvaluatorProcess]:
        """Hold a slot with an evaluator of the study, or a fresh one that has no study yet.

        Whatever leaves the block by an exception ends the process: it may be in the middle of something.
        """
        async with self._slots:
            process = await self._take(study_id)
            self._busy.add(process)
            try:
                yield process
            except BaseException:
                await asyncio.shield(process.kill())
                raise
            finally:
                self._busy.discard(process)
            await asyncio.shield(self._put_back(process))

    async def drop(self, study_id: str) -> None:
        """End idle evaluators of a study."""
        await self.keep_only({str(one.study_id) for one in self._warm} - {study_id})

    async def keep_only(self, studies: Collection[str]) -> None:
        """End idle evaluators of other studies."""
        unwanted = [one for one in self._warm if one.study_id not in studies]
        self._warm = [one for one in self._warm if one not in unwanted]  # before anything else can happen
        for process in unwanted:
            await process.kill()

    async def close(self) -> None:
        """End all of them."""
        for process in [*self._warm, *self._busy]:
            await process.kill()
        self._warm.clear()
        if self._fork_server is not None:
            await self._fork_server.close()
            self._fork_server = None

    async def _take(self, study_id: str) -> EvaluatorProcess:
        mine = next((one for one in self._warm if one.study_id == study_id and one.is_alive), None)
        if mine is not None:
            self._warm.remove(mine)
            return mine
        fork_server = await self._ready()
        folder = self._place / f"{next(self._numbers)}"
        folder.mkdir(parents=True, mode=0o700)
        return EvaluatorProcess(await fork_server.spawn(folder), folder, self._settings.evaluator_wall_s)

    async def _put_back(self, process: EvaluatorProcess) -> None:
        if process.is_alive:
            self._warm.append(process)
        while self._are_too_many():
            await self._warm.pop(0).kill()

    def _are_too_many(self) -> bool:
        """Whether idle evaluators take too much memory; as many as there are slots are always kept."""
        if len(self._warm) <= self._settings.slots:
            return False
        most = min(self._settings.evaluator_memory_bytes, IDLE_SHARE * memory_bytes())
        return len(self._warm) > MOST_WARM or sum(one.resident_bytes for one in self._warm) > most

    async def _ready(self) -> ForkServer:
        """The fork server, started again if it has ended."""
        async with self._starting:
            pause = 1.0
            while self._fork_server is None or not self._fork_server.is_alive:
                try:
                    self._fork_server = await ForkServer.start(self._settings)
                    _log.info("walls around evaluators: %s", ", ".join(self._fork_server.walls) or "none")
                except (EvaluatorDiedError, OSError) as error:
                    _log.warning("%s", error)  # no study is to blame: try until the machine lets us
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, MAX_PAUSE_S)
            return self._fork_server
