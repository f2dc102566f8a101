"""The evaluators of one worker: as many at work as it has slots, kept warm between tasks of their study.

A process serves one study in its life. When one ends, another is started ahead, so that the next study does not wait for
its imports.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from service.settings import Settings
from workers.evaluator_process import EvaluatorDiedError, EvaluatorProcess

STARTS = 3
_log = logging.getLogger(__name__)


class Pool:
    """Evaluators; to be used from one event loop."""

    def __init__(self, settings: Settings, place: Path) -> None:
        self._settings = settings
        self._place = place
        self._slots = asyncio.Semaphore(settings.slots)
        self._warm: list[EvaluatorProcess] = []  # idle, longest first
        self._busy: set[EvaluatorProcess] = set()
        self._spare: asyncio.Task[EvaluatorProcess] | None = None
        self._environment: Mapping[str, str] | None = None

    async def environment(self) -> Mapping[str, str]:
        """What results of this worker's evaluators may depend on besides their inputs."""
        if self._environment is None:
            self._environment = (await asyncio.shield(self._ahead())).environment
        return self._environment

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
            await self._put_back(process)

    async def keep_only(self, studies: Collection[str]) -> None:
        """End idle evaluators of other studies."""
        ended = [one for one in self._warm if one.study_id not in studies]
        for process in ended:
            self._warm.remove(process)
            await process.kill()
        if ended:
            self._ahead()  # the next study is as likely as not to be another one; while one runs, nobody needs it

    async def close(self) -> None:
        """End all of them."""
        if self._spare is not None:
            self._spare.cancel()
            await asyncio.gather(self._spare, return_exceptions=True)
            if not self._spare.cancelled() and self._spare.exception() is None:
                await self._spare.result().kill()
            self._spare = None
        for process in [*self._warm, *self._busy]:
            await process.kill()
        self._warm.clear()

    async def _take(self, study_id: str) -> EvaluatorProcess:
        mine = next((one for one in self._warm if one.study_id == study_id and one.is_alive), None)
        if mine is not None:
            self._warm.remove(mine)
            return mine
        spare, self._spare = self._ahead(), None
        return await spare

    async def _put_back(self, process: EvaluatorProcess) -> None:
        if process.is_alive:
            self._warm.append(process)
        while len(self._warm) > self._settings.slots:
            await self._warm.pop(0).kill()

    def _ahead(self) -> asyncio.Task[EvaluatorProcess]:
        """The process that is being started ahead."""
        if self._spare is None or self._failed(self._spare):
            self._spare = asyncio.create_task(self._start())
        return self._spare

    def _failed(self, task: asyncio.Task[EvaluatorProcess]) -> bool:
        return task.done() and (task.cancelled() or task.exception() is not None or not task.result().is_alive)

    async def _start(self) -> EvaluatorProcess:
        for attempt in range(STARTS):
            try:
                return await EvaluatorProcess.start(self._settings, self._place)
            except (EvaluatorDiedError, OSError) as error:
                _log.warning("an evaluator did not start: %s", error)
                if attempt == STARTS - 1:
                    raise
                await asyncio.sleep(1 + attempt)
        raise AssertionError("not reached")
