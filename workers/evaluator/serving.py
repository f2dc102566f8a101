"""What an evaluator does on request: open a study, compute items, write the files of a finished study.

Arrays and files go to ``out/`` in its own directory, one numbered file each; the parent takes them from there.
"""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from search.errors import SearchError
from search.runtime.session import versions
from search.study.delivery import RESULT, delivered_samples, sample_files
from search.study.intake import first_look
from search.study.plan import Replay
from search.study.provenance import Circumstances
from search.study.result import Measured, compose
from search.tasks import AnyItem, ItemResult, Task
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds import check
from search.work.kinds.registry import item_from_json, run_items
from service.machine import described, processor
from workers.evaluator.confinement import confine
from workers.evaluator.guard import address_space_left, allow_cpu
from workers.evaluator.lines import Pipe
from workers.failures import StudyFailedError, failure_of
from workers.problem import study_problem

OUT = "out"
MIB = 2**20
LEAST_ROOM = 256 * MIB
"""Address space that an evaluator must have left before it opens a study."""


def environment() -> dict[str, str]:
    """What results of this process may depend on besides their inputs."""
    return {**versions(), "processor": processor()}


def serve(pipe: Pipe) -> None:
    """Answer requests one after the other; the first must be ``open``."""
    os.makedirs(OUT, exist_ok=True)
    session: _Session | None = None
    message = pipe.receive_first()
    _confine(message)
    pipe.start()
    while True:
        pipe.begin()
        try:
            if message["op"] == "open":
                session = _open(pipe, message)
            elif session is not None:
                session.answer(message)
            pipe.send("done")
        except StudyFailedError as failure:
            pipe.send("error", error=failure.to_json())
        except SearchError as error:
            pipe.send("error", error=failure_of(error).to_json())
        except MemoryError:
            pipe.send("error", error=_no_memory().to_json())
        except OSError as error:
            _tell_of_system(pipe, error)
        except Exception:  # noqa: BLE001  # a mistake of ours: the study fails, the worker goes on
            traceback.print_exc()
            text = traceback.format_exc().strip().splitlines()[-1]
            pipe.send("error", error=StudyFailedError("internal-error", "system", text).to_json())
        message = pipe.receive()


def _no_memory() -> StudyFailedError:
    return StudyFailedError("memory-limit", "limit", "The evaluation needs more memory than an evaluator has.")


def _tell_of_system(pipe: Pipe, error: OSError) -> None:
    if error.errno == errno.ENOMEM:
        pipe.send("error", error=_no_memory().to_json())
    else:  # the disk is full, or the like: nobody's input is wrong, and it may pass
        pipe.send("error", transient=True, message=f"{error.strerror} ({error.errno})")


def _confine(message: Mapping[str, Any]) -> None:
    """Put up the walls before anything of the study is opened."""
    lent = message.get("lent")
    confine(Path.cwd(), map(Path, message.get("paths", {}).values()), None if lent is None else Path(lent))


def _check_room() -> None:
    """Refuse to begin where libraries that fail for want of memory would wait for threads they never got.

    Raises:
        StudyFailedError: ``memory-limit``.
    """
    left = address_space_left()
    if left < LEAST_ROOM:
        raise StudyFailedError(
            "memory-limit",
            "limit",
            f"An evaluator of this server has {max(left, 0) // MIB} MiB of address space beside its libraries; "
            f"{LEAST_ROOM // MIB} MiB are the least that any model needs (evaluator_memory_bytes).",
        )


def _open(pipe: Pipe, message: Mapping[str, Any]) -> _Session:
    _check_room()
    files = _Files(pipe, {digest: Path(path) for digest, path in message["paths"].items()})
    study = study_problem(message["spec"], message["problem"], message["environment"], files.get)
    return _Session(pipe, ItemRunner(study.problem, files), files)


@dataclass
class _Files:
    """Inputs lie beside the process; blobs of earlier items are asked for and come as files."""

    pipe: Pipe
    paths: Mapping[str, Path]
    _blobs: dict[str, Path] = field(default_factory=dict)

    def path(self, digest: str) -> Path:
        """File or directory of an input."""
        return self.paths[digest]

    def get(self, digest: str) -> bytes:
        """Content of a blob."""
        if digest not in self._blobs:
            self.pipe.send("want", digest=digest)
            answer = self.pipe.receive()
            if answer.get("path") is None:
                raise StudyFailedError("missing-input", "system", f"The array {digest} of an earlier step is gone.")
            self._blobs[digest] = Path(answer["path"])
        return self._blobs[digest].read_bytes()


class _Session:
    """One study, open."""

    def __init__(self, pipe: Pipe, runner: ItemRunner, files: _Files) -> None:
        self._pipe = pipe
        self._runner = runner
        self._files = files
        self._numbers = count()

    def answer(self, message: Mapping[str, Any]) -> None:
        """Compute items, or deliver."""
        if message["op"] == "run":
            self._run([item_from_json(one) for one in message["items"]], message["cpu_s"])
        else:
            allow_cpu(message["cpu_s"])
            self._deliver(message)

    def _run(self, items: list[AnyItem], cpu_s: float) -> None:
        last = time.monotonic()
        allow_cpu(cpu_s)
        for item, raw in self._raws(items):
            now = time.monotonic()
            blobs = {name: self._put(data) for name, data in raw.blobs.items()}
            self._pipe.send(
                "item",
                digest=item.digest,
                kind=item.kind.name,
                data=raw.data,
                blobs=blobs,
                seconds=round(now - last, 6),
            )
            last = now
            if self._pipe.is_asked_to_stop:
                return
            allow_cpu(cpu_s)

    def _raws(self, items: list[AnyItem]) -> Iterator[tuple[AnyItem, Raw[object]]]:
        if items[0].kind == check.KIND:
            yield items[0], first_look(self._runner)
        else:
            yield from run_items(self._runner, Task(tuple(items)))

    def _deliver(self, message: Mapping[str, Any]) -> None:
        results = {one["digest"]: ItemResult(**one) for one in message["results"]}
        replay = Replay(self._runner.problem)
        replay.advance(results, message["stopped"])
        if replay.finished is None:
            raise ValueError("The study is not finished.")
        machine = described(self._runner.problem.environment["processor"])  # walls may hide that file by now
        made = Circumstances(command=None, machine=machine, date=datetime.now(UTC).isoformat(timespec="seconds"))
        measured = Measured(seconds=message["seconds"], stopped=replay.progress.stopping, made=made)
        files = compose(self._runner.problem, replay.finished, measured, self._files.get)
        samples = delivered_samples(replay.finished, self._runner.calibration)
        if samples is not None:
            for name, data in sample_files(samples):
                self._pipe.send("file", name=name, file=self._put(data))
        for name in sorted(files, key=lambda one: (one == RESULT, one)):
            self._pipe.send("file", name=name, file=self._put(files[name]))

    def _put(self, data: bytes) -> str:
        name = f"{next(self._numbers)}"
        with open(os.path.join(OUT, name), "xb") as file:
            file.write(data)
        return name
