"""Waiting for the end of a study: its stream of events while there is one, asking now and then where there is none.

Everything is read again behind the last event seen, so a server that restarts, a proxy that cuts streams and a limit on
open streams cost time but no event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.client.connection import AsyncConnection
from service.client.errors import ClientError, TemporaryError, UnreachableError, WaitTimeoutError
from service.client.event_lines import EventLines
from service.client.retries import NO_RETRIES, Retries
from service.contract import Event, Study, page, read

Watch = Callable[[Event], None]
"""Is told every event once, in order."""
SILENCE_S = 45.0
"""The server speaks every 15 s."""
POLL_S = 1.0
PAGE = 200


class Follow:
    """One wait."""

    def __init__(
        self,
        connection: AsyncConnection,
        study_id: str,
        deadline: float | None,
        max_outage_s: float,
        watch: Watch | None,
    ) -> None:
        self._connection = connection
        self._study_id = study_id
        self._path = f"/v1/studies/{study_id}"
        self._deadline = deadline
        self._max_outage_s = max_outage_s
        self._watch = watch
        self._pauses = Retries(first_s=0.5, largest_s=5.0)
        self._seen = 0

    async def to_the_end(self) -> Study:
        """Return the study when it has ended."""
        heard, failures = time.monotonic(), 0
        while True:
            try:
                study = await self._look()
                heard, failures = time.monotonic(), 0
                if study.is_terminal:
                    await self._catch_up()
                    return study
                await self._stream()
            except (UnreachableError, TemporaryError) as error:
                if time.monotonic() - heard > self._max_outage_s:
                    raise
                await self._pause(self._pauses.delay(failures, error))
                failures += 1

    async def _look(self) -> Study:
        self._check_time()
        return read(Study, (await self._connection.ask("GET", self._path, retries=NO_RETRIES)).json())

    async def _stream(self) -> None:
        """Hear events until the stream ends; where the server has no stream for us, ask once."""
        lines = EventLines()
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self._seen)}
        try:
            async with self._connection.stream(
                f"{self._path}/events", headers=headers, read_s=self._patience()
            ) as answer:
                async for line in answer.aiter_lines():
                    self._check_time()
                    event = lines.add(line)
                    if event is not None:
                        await self._tell(event)
        except (TemporaryError, UnreachableError) as error:
            if isinstance(error, UnreachableError):
                self._check_time()
            await self._catch_up()  # if this fails too, the server is away
            await self._pause(POLL_S)
        else:
            await self._pause(0.05)

    async def _catch_up(self) -> None:
        """Hear what happened since, without a stream."""
        while self._watch is not None:
            params = {"after": self._seen, "limit": PAGE}
            found = await self._connection.ask(
                "GET", f"{self._path}/events", params=params, retries=Retries(outage_s=10.0)
            )
            events = page(Event, found.json()).items
            for event in events:
                await self._tell(event)
            if len(events) < PAGE:
                return

    async def _tell(self, event: Event) -> None:
        if event.id > self._seen:
            self._seen = event.id
            if self._watch is not None:
                await self._connection.call(self._watch, event)

    async def _pause(self, seconds: float) -> None:
        left = seconds if self._deadline is None else self._deadline - time.monotonic()
        await asyncio.sleep(max(0.0, min(seconds, left)))
        self._check_time()

    def _patience(self) -> float:
        if self._deadline is None:
            return SILENCE_S
        return max(0.05, min(SILENCE_S, self._deadline - time.monotonic()))

    def _check_time(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise self._late()

    def _late(self) -> ClientError:
        return WaitTimeoutError(f"The study {self._study_id} has not ended in the time to wait. It goes on.")
