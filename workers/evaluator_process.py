"""One evaluator as its worker sees it: started, asked, and killed when it takes too long or nobody wants its answer."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shutil
import signal
import stat
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.canonical import canonical_json
from workers.failures import Reported, StudyFailedError
from workers.fork_server import EvaluatorDiedError, EvaluatorHandle

KEPT_ERRORS = 40
END_S = 5.0
NO_MEMORY = ("std::bad_alloc", "MemoryError", "Cannot allocate memory", "can't start new thread")
"""What a process prints that ends because it got no memory: native code cannot report it itself."""
_ADDRESS_SPACE = "Max address space"
COPY_BYTES = 2**20
Fetch = Callable[[str], "Path | None"]


class StorageError(Exception):
    """Nothing could be written for now; the same may succeed later."""


@dataclass(frozen=True)
class Open:
    """A study as an evaluator opens it; JSON values, and where its inputs lie by digest."""

    study_id: str
    spec: Mapping[str, Any]
    problem: Mapping[str, Any]
    environment: Mapping[str, str]


class EvaluatorProcess:
    """One process. It serves one study in its life, so that no study meets what another one left."""

    def __init__(self, handle: EvaluatorHandle, folder: Path, wall_s: float) -> None:
        self._handle = handle
        self._wall_s = wall_s
        self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)
        self._drain = asyncio.create_task(self._read_errors())
        self.folder = folder
        self._lent = folder.with_name(f"{folder.name}-lent")
        self._n_lent = 0
        self.environment = handle.environment
        self.study_id: str | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return not self._handle.ended.done()

    @property
    def resident_bytes(self) -> float:
        """Memory it occupies; infinite where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self._handle.pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return math.inf
        return float(pages * os.sysconf("SC_PAGE_SIZE"))

    async def open(self, study: Open, paths: Mapping[str, Path], fetch: Fetch) -> None:
        """Let it open a study.

        Raises:
            StudyFailedError: If the study cannot be used.
            EvaluatorDiedError: If the process ended.
            StorageError: If it could not write.
        """
        self.study_id = study.study_id
        message = {"op": "open", "spec": study.spec, "problem": study.problem, "environment": study.environment}
        self._lent.mkdir(mode=0o700, exist_ok=True)
        given = {"paths": {digest: str(path) for digest, path in paths.items()}, "lent": str(self._lent)}
        async for _ in self.ask({**message, **given}, fetch):
            pass

    async def ask(self, message: Mapping[str, Any], fetch: Fetch) -> AsyncIterator[Mapping[str, Any]]:
        """Send a request and yield what it says until it is done; errors as for ``open``.

        Args:
            message: The request.
            fetch: Returns the file of a blob that the process asks for, None if there is none.
        """
        await self._send(message)
        while True:
            line = await self._line(self._wall_s)
            match line.get("say"):
                case "done":
                    return
                case "want":
                    path = await asyncio.to_thread(self._lend, fetch, str(line.get("digest")))
                    await self._send({"op": "blob", "path": None if path is None else str(path)})
                case "error" if line.get("transient"):
                    raise StorageError(str(line.get("message")))
                case "error":
                    raise self._named(Reported(line.get("error")).failure())
                case _:
                    yield line

    async def answer(self) -> None:
        """Ask for nothing, so that it has put its limits in force; errors as for ``open``."""
        async for _ in self.ask({"op": "run"}, lambda digest: None):
            pass

    def address_space(self) -> tuple[int, int | None]:
        """Bytes of address space it has taken, and those it may take; None without a limit. Linux only."""
        place = Path(f"/proc/{self._handle.pid}")
        taken = int((place / "statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        words = next(line for line in (place / "limits").read_text().splitlines() if line.startswith(_ADDRESS_SPACE))
        allowed = words.removeprefix(_ADDRESS_SPACE).split()[0]
        return taken, None if allowed == "unlimited" else int(allowed)

    async def stop_after_item(self) -> None:
        """Ask it to end the request after the item at hand."""
        await self._send({"op": "stop"})

    def take(self, name: object) -> Path:
        """Return the file it wrote under ``name``.

        Raises:
            StudyFailedError: If that is no plain file of its own: it is not to be trusted.
        """
        path = self.folder / "out" / str(name)
        try:
            info = os.lstat(path)
        except OSError:
            info = None
        if not str(name).isdecimal() or info is None or not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
            raise StudyFailedError("internal-error", "system", "The evaluator named a file that it did not write.")
        return path

    async def kill(self) -> None:
        """End it with everything it started, and delete its directory."""
        try:
            if self.is_alive:
                for end in (os.killpg, os.kill):  # one that was just forked leads no group yet
                    with suppress(ProcessLookupError):
                        end(self._handle.pid, signal.SIGKILL)
                await asyncio.shield(self._handle.ended)  # others wait for it too
        finally:
            self._drain.cancel()
            self._handle.close()
        for folder in (self.folder, self._lent):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _lend(self, fetch: Fetch, digest: str) -> Path | None:
        """Copy a blob to where the process may read it: it sees no other file of the store.

        Raises:
            StorageError: If it could not be written.
        """
        path = fetch(digest)
        if path is None:
            return None
        self._n_lent += 1
        copy = self._lent / f"{self._n_lent}"
        try:
            with path.open("rb") as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target, COPY_BYTES)
        except OSError as error:
            raise StorageError(f"{error.strerror} ({error.errno})") from None
        return copy

    async def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._handle.writer.write(canonical_json(message).encode() + b"\n")
            await self._handle.writer.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise await self._death() from None

    async def _line(self, wall_s: float) -> dict[str, Any]:
        try:
            data = await asyncio.wait_for(self._handle.reader.readline(), wall_s)
            value = json.loads(data) if data else None
        except TimeoutError:
            text = f"One step of the evaluation took longer than {wall_s:g} s, which is the limit."
            raise StudyFailedError("wall-limit", "limit", text) from None
        except ConnectionResetError:
            value = None
        except (ValueError, RecursionError):
            raise StudyFailedError("internal-error", "system", "The evaluator wrote what is no answer.") from None
        if value is None:
            raise await self._death()
        if not isinstance(value, dict):
            raise StudyFailedError("internal-error", "system", "The evaluator wrote what is no answer.")
        return value

    async def _death(self) -> Exception:
        try:
            code = await asyncio.wait_for(asyncio.shield(self._handle.ended), END_S)
        except TimeoutError:
            return EvaluatorDiedError("The evaluator closed its pipe.")
        if code == -signal.SIGXCPU:
            return StudyFailedError("cpu-limit", "limit", "One step of the evaluation used up its processor time.")
        if any(sign in line for line in self._errors for sign in NO_MEMORY):
            return StudyFailedError("memory-limit", "limit", "The evaluation needs more memory than an evaluator has.")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        last = self._errors[-1] if self._errors else ""
        return EvaluatorDiedError(f"The evaluator ended with {how}{': ' + last if last else ''}.")

    def _named(self, failure: StudyFailedError) -> StudyFailedError:
        """Name files as the user knows them, not where they lie here."""
        text = re.sub(rf"{re.escape(str(self.folder))}/(inputs/\d+-\w+/?)?", "", failure.message)
        return StudyFailedError(failure.code, failure.blame, text)

    async def _read_errors(self) -> None:
        """Keep the last of what it prints; a flood of it costs nothing."""
        while data := await self._handle.errors.read(2**16):
            self._errors.extend(line[:500] for line in data.decode(errors="replace").splitlines() if line.strip())
