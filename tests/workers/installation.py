"""An installation of the service in a folder: database, blobs, studies put in line, and workers as real processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.spec.load import build_job
from service.store import uploads
from service.store.blobs.store import BlobStore
from service.store.db import artifacts, studies, tenants
from service.store.db import workers as registered
from service.store.db.engine import Database, connect
from service.store.db.studies import Study
from service.store.settings import Settings
from tests.study.memory import without_times
from tests.study.small import Files
from workers import durable
from workers.engine import DbosEngine

TERMINAL = ("succeeded", "failed", "cancelled")
TRIES = 40


@dataclass
class Installation:
    """One database with its blobs, as the API would leave them."""

    settings: Settings
    database: Database
    store: BlobStore
    engine: DbosEngine
    tenant: str
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def put(self, path: Path) -> dict[str, Any]:
        """Upload a file; return it as an input of a study."""
        digest = uploads.put(self.database, self.store, self.tenant, path.read_bytes())
        return {"kind": "file", "digest": digest, "size": path.stat().st_size}

    def submit(self, files: Files, *, inputs: Mapping[str, Any] | None = None, **spec: Any) -> str:
        """Put a study in line; ``inputs`` replaces some of those that come from ``files``."""
        given = {
            "model": self.put(files.model),
            "data.calibration": self.put(files.calibration),
            "data.evaluation": self.put(files.evaluation),
            **(inputs or {}),
        }
        search = {"strategy": "ladder", **spec.pop("search", {})}  # as tests.study.memory.local_problem
        return self.enqueue(given, search=search, **spec)

    def submit_random(self, inputs: Mapping[str, Any], **spec: Any) -> str:
        """Put a study without data in line."""
        return self.enqueue(inputs, data={"calibration": "random"}, **spec)

    def enqueue(self, given: Mapping[str, Any], *, target: str = "j6m", **spec: Any) -> str:
        """What the API does."""
        names = dict.fromkeys(given, f"sha256:{'0' * 64}")
        data = {key.removeprefix("data."): names[key] for key in given if key.startswith("data.")}
        values = {"schema": "bitbudget.job/1", "model": names["model"], "data": {**data, **spec.pop("data", {})}}
        job = build_job({**values, "target": {"name": target}, **spec})
        search = job.search
        with self.database.writing() as connection:
            study = studies.add(
                connection,
                tenant_id=self.tenant,
                spec=job.to_json(),
                spec_digest="0" * 64,
                target=target,
                problem={"inputs": dict(given)},
                limits={"max_seconds": search.max_seconds, "max_evaluations": search.max_evaluations},
                priority=job.run.priority,
                timeout_s=job.run.timeout_s,
            )
            self.engine.submit(connection, study)
        return study.id

    def study(self, study_id: str) -> Study:
        """Its row."""
        with self.database.reading() as connection:
            found = studies.load(connection, study_id)
        assert found is not None
        return found

    def move(self, study_id: str, *, expect: Sequence[str], to: str) -> Study | None:
        """What the API does for cancel, pause and resume."""
        with self.database.writing() as connection:
            found = studies.transition(connection, study_id, expect=expect, to=to)
            if found is not None and to == "queued":
                self.engine.resume(connection, found)
        return found

    def wait(
        self,
        study_id: str,
        seconds: float = 90.0,
        until: Callable[[Study], bool] | None = None,
        *,
        poll_s: float = 0.05,
    ) -> Study:
        """Wait until a study has ended, or until something else."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Exception):
                row = self.study(study_id)
                if until(row) if until is not None else row.state in TERMINAL:
                    return row
            if time.monotonic() > deadline:
                raise AssertionError(f"still {self.study(study_id)}\n{self.logs()[-6000:]}")
            time.sleep(poll_s)

    def caught(self, files: Files, holds: Callable[[Study], bool], **spec: Any) -> str:
        """Put studies in line until one is seen as wanted before it ends, however fast the machine is; return it."""
        for _ in range(TRIES):
            study = self.submit(files, **spec)
            row = self.wait(study, 240.0, until=lambda row: row.state in TERMINAL or holds(row), poll_s=0.002)
            if row.state not in TERMINAL:
                return study
        raise AssertionError("no study was ever seen as wanted")

    def wait_for_workers(self, n: int) -> None:
        """Wait until so many take part."""
        deadline = time.monotonic() + 90.0
        while True:
            with self.database.reading() as connection:
                if len(registered.alive(connection, self.settings.dead_s)) >= n:
                    return
            assert time.monotonic() < deadline, self.logs()[-6000:]
            time.sleep(0.05)

    def result(self, study_id: str) -> dict[str, Any]:
        """``result.json`` without measured times."""
        return without_times(json.loads(self.artifact(study_id, "result.json")))

    def artifact(self, study_id: str, name: str) -> bytes:
        """Content of a delivered file."""
        with self.database.reading() as connection:
            found = artifacts.get(connection, self.tenant, study_id, name)
        assert found is not None, name
        return self.store.read(found.digest)

    def start(self, n: int = 1, **settings: object) -> Worker:
        """Start workers; returns the last."""
        for _ in range(n):
            self.workers.append(Worker.start(self.settings, self.folder / f"worker{len(self.workers)}.log", **settings))
        return self.workers[-1]

    def logs(self) -> str:
        """What all workers have said."""
        return "\n".join(worker.log.read_text(errors="replace") for worker in self.workers)

    def stored(self, study_id: str) -> Counter[str]:
        """How often the result of each item was put into the database by any worker."""
        return Counter(re.findall(rf"item (\w+) stored of study {study_id}", self.logs()))

    def again(self, study_id: str) -> Counter[str]:
        """Items that were computed although they had a result."""
        return Counter(re.findall(rf"item (\w+) known of study {study_id}", self.logs()))

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.kill()
        self.engine.close()
        self.database.close()


@dataclass
class Worker:
    """A worker process."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, settings: Settings, log: Path, **changes: object) -> Worker:
        """Start one with the installation's settings, some changed."""
        wanted = {
            "data_dir": settings.data_dir,
            "database_url": settings.database,
            "heartbeat_s": settings.heartbeat_s,
            "dead_s": settings.dead_s,
            "drain_s": settings.drain_s,
            "evaluator_wall_s": settings.evaluator_wall_s,
            "evaluator_cpu_s": settings.evaluator_cpu_s,
            "evaluator_memory_bytes": settings.evaluator_memory_bytes,
            "log_level": "debug",  # which items were stored
            **changes,
        }
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BITBUDGET_")}
        environment |= {f"BITBUDGET_{key.upper()}": str(value) for key, value in wanted.items()}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers"], env=environment, stdout=file, stderr=subprocess.STDOUT
            )
        return cls(process, log)

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal; a process that has ended does not mind."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def children(self) -> list[int]:
        """Process ids of its evaluators, which are forked by its only child."""
        return [pid for fork_server in children_of(self.process.pid) for pid in children_of(fork_server)]

    def processes(self) -> list[int]:
        """Process ids of everything it started, and its own."""
        return [self.process.pid, *children_of(self.process.pid), *self.children()]


def children_of(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                if int((place / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(place.name))
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def installation(folder: Path, url: str, **settings: Any) -> Iterator[Installation]:
    """A fresh installation on a migrated database."""
    chosen = {"heartbeat_s": 0.5, "dead_s": 3.0, "drain_s": 20.0, **settings}
    found = Settings(data_dir=folder / "data", database_url=url, **chosen)
    database = connect(url)
    durable.migrate(found)
    with database.writing() as connection:
        tenant = tenants.ensure(connection, "default")
    made = Installation(found, database, BlobStore(found.blobs_dir), DbosEngine(found), tenant.id, folder)
    try:
        yield made
    finally:
        made.close()


def sha256(path: Path) -> str:
    """Digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
