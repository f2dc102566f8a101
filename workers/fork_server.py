"""The fork server, seen from its worker: a process that has loaded the libraries and forks evaluators on request."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.store.settings import Settings

MAX_LINE = 64 * 2**20
"""Bytes of one line of an evaluator: ``check`` describes the whole network."""
MAX_FILE = 16 * 2**30
START_S = 120.0
MESSAGE_BYTES = 65536
_KILLED = -int(signal.SIGKILL)


class EvaluatorDiedError(Exception):
    """A process ended by itself while it was needed."""


@dataclass(frozen=True, eq=False)
class EvaluatorHandle:
    """A forked evaluator: its process id, its pipes, its end.

    Attributes:
        pid: Its process id, which is also its process group.
        reader: What it says.
        writer: What it is told.
        errors: What it prints.
        ended: Its exit status as soon as it has ended; negative for a signal.
        environment: Library versions and processor.
    """

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    errors: asyncio.StreamReader
    ended: asyncio.Future[int]
    environment: Mapping[str, str]
    _errors_transport: asyncio.BaseTransport

    def close(self) -> None:
        """Close our ends."""
        self.writer.close()
        self._errors_transport.close()


class ForkServer:
    """The process, seen from its worker; to be used from one event loop."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._started: asyncio.Future[tuple[int, asyncio.Future[int]]] | None = None
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self.environment: Mapping[str, str] = {}
        self.walls: tuple[str, ...] = ()

    @classmethod
    async def start(cls, settings: Settings) -> ForkServer:
        """Start it and wait until it has loaded its libraries.

        Raises:
            EvaluatorDiedError: If it does not come up.
        """
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.setblocking(False)
        limits = [str(settings.evaluator_memory_bytes), str(MAX_FILE), str(os.getpid())]
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-I", "-m", f"{__package__}.evaluator", str(theirs.fileno()), *limits],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=_environment(),
            start_new_session=True,
        )
        theirs.close()
        made = cls(process, control)
        try:
            ready = await asyncio.wait_for(made._message(), START_S)
        except TimeoutError:
            ready = None
        if ready is None:
            await made.close()
            raise EvaluatorDiedError("the fork server did not come up.")
        made.environment = {str(key): str(value) for key, value in ready["environment"].items()}
        made.walls = tuple(str(name) for name in ready["walls"])
        made._listening = asyncio.create_task(made._listen())
        return made

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked for evaluators."""
        return self._listening is not None and not self._listening.done()

    async def spawn(self, folder: Path) -> EvaluatorHandle:
        """Fork an evaluator that works in ``folder``.

        Whoever is cancelled while waiting leaves nothing: an evaluator nobody wants finds its pipe closed and ends.

        Raises:
            EvaluatorDiedError: If the fork server has ended.
        """
        spawning = asyncio.create_task(self._spawn(folder))
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            spawning.add_done_callback(_abandon)
            raise

    async def _spawn(self, folder: Path) -> EvaluatorHandle:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            pid, ended = await self._ask(folder, [theirs.fileno(), write_end])
        except EvaluatorDiedError:
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE)
        errors = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(errors), os.fdopen(read_end, "rb", buffering=0)
        )
        return EvaluatorHandle(pid, reader, writer, errors, ended, self.environment, transport)

    async def close(self) -> None:
        """End it, and with it every evaluator that is left."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._listening is not None:
            self._listening.cancel()
        self._control.close()

    async def _ask(self, folder: Path, descriptors: list[int]) -> tuple[int, asyncio.Future[int]]:
        """Process id of a new evaluator, and what will be its exit status; it may have ended already."""
        async with self._asking:
            if not self.is_alive:
                raise EvaluatorDiedError("the fork server has ended.")
            self._started = asyncio.get_running_loop().create_future()
            try:
                socket.send_fds(self._control, [json.dumps({"folder": str(folder)}).encode()], descriptors)
            except OSError as error:
                raise EvaluatorDiedError(f"the fork server has ended: {error.strerror}.") from None
            return await self._started

    async def _listen(self) -> None:
        while (message := await self._message()) is not None:
            if "started" in message:
                pid = int(message["started"])
                self._ends[pid] = asyncio.get_running_loop().create_future()
                if self._started is not None and not self._started.done():
                    self._started.set_result((pid, self._ends[pid]))
            elif "ended" in message:
                _settle(self._ends.pop(int(message["ended"])), int(message["status"]))
        # Evaluators die with it.
        for ended in self._ends.values():
            _settle(ended, _KILLED)
        if self._started is not None and not self._started.done():
            self._started.set_exception(EvaluatorDiedError("the fork server has ended."))

    async def _message(self) -> dict[str, Any] | None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._control, MESSAGE_BYTES)
        except OSError:
            return None
        found: dict[str, Any] | None = json.loads(data) if data else None
        return found


def _abandon(spawning: asyncio.Task[EvaluatorHandle]) -> None:
    """Close the pipe of an evaluator that came too late."""
    if not spawning.cancelled() and spawning.exception() is None:
        spawning.result().close()


def _settle(ended: asyncio.Future[int], status: int) -> None:
    """Tell whoever waits; one who was cancelled while waiting has cancelled the future too."""
    if not ended.done():
        ended.set_result(status)


def _environment() -> dict[str, str]:
    """Nothing of ours: no database URL, no keys."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8"}
