"""What workers cost and save: ``python -m benchmarks.workers --write benchmarks/workers.md``; twenty minutes.

Real worker processes on fresh databases, one thread per session:

- fan-out: a study whose evaluations dominate, with the default strategy, on one worker and on two in turns; the goal is
  1.7 times as fast. Beside it stands what two processes that share nothing reach on this machine at the same time;
- steering: from the row that says ``cancelling`` or ``paused`` to the end of the evaluator; goal 5 s;
- drain: studies without evaluation (calibration at random, all-low exported) per second;
- recovery: from SIGKILL of the worker that computes to the end of its task on another one, with the default heartbeat
  of 5 s and 45 s of silence that mean death, and nobody who saw it die (goal 75 s: 45 s, and the task once more). It is
  mostly silence, so both databases are measured at the same time.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.fan_out import fan_out
from benchmarks.figures import Figure, circumstances, page
from benchmarks.installations import GOAL, WAIT_S, fresh, large_study
from service.store.db import tasks
from tests.study.small import Files, conv_net, write
from tests.workers.installation import Installation, Worker, is_running

BACKENDS = ("sqlite", "postgresql")
REPEATS = 5
STUDIES = 10
SMALL_TASK_MACS = 2e9
SHARED = ("sensitivity", "search")
"""Phases with many tasks."""


def busy_worker(service: Installation, study: str) -> Worker:
    """The worker that computes a task of the study."""
    while True:
        with service.database.reading() as c:
            running = [task.worker for task in tasks.listing(c, study) if task.state == "running" and task.worker]
        for worker in service.workers:
            if any(f"-{worker.process.pid}-" in name for name in running):
                return worker
        time.sleep(0.005)


def struck(service: Installation, study: str) -> tuple[Worker, set[int]]:
    """A worker stopped in the middle of a task of the study, and the task's number."""
    while True:
        worker = busy_worker(service, study)
        worker.signal(signal.SIGSTOP)
        if left := unfinished(service, study, worker):
            return worker, left
        worker.signal(signal.SIGCONT)


def recovery(backend: str, files: Files) -> float:
    """Seconds from SIGKILL to the end of the task that was being computed."""
    with fresh(backend, heartbeat_s=5.0, dead_s=45.0) as service:
        service.start(2)
        study = service.submit(files, goal=GOAL, search={"task_macs": SMALL_TASK_MACS})
        service.wait(study, WAIT_S, until=lambda row: row.phase in SHARED)
        victim, left = struck(service, study)
        victim.kill()
        begun = time.monotonic()
        while left & unfinished(service, study):
            time.sleep(0.05)
        return time.monotonic() - begun


def unfinished(service: Installation, study: str, worker: Worker | None = None) -> set[int]:
    """Numbers of tasks that have begun and not ended, of one worker or of all."""
    with service.database.reading() as c:
        found = [task for task in tasks.listing(c, study) if task.state == "running"]
    return {task.no for task in found if worker is None or f"-{worker.process.pid}-" in (task.worker or "")}


def steering(backend: str, files: Files, to: str) -> list[float]:
    """Seconds from the row to the end of the evaluator, several times."""
    found = []
    with fresh(backend) as service:
        worker = service.start()
        for _ in range(REPEATS):
            study = service.submit(files, goal=GOAL)
            service.wait(study, WAIT_S, until=lambda row: row.phase in SHARED)
            evaluators = worker.children()
            service.move(study, expect=["running"], to=to)
            begun = time.monotonic()
            while any(is_running(pid) for pid in evaluators):
                time.sleep(0.01)
            found.append(time.monotonic() - begun)
            if to == "paused":
                service.move(study, expect=["paused"], to="cancelled")
            service.wait(study, WAIT_S)
    return found


def drain(backend: str, files: Files, n_workers: int, n: int) -> float:
    """Studies per second: put in line before the workers begin."""
    with fresh(backend) as service:
        inputs = {"model": service.put(files.model)}
        studies = [service.submit_random(inputs) for _ in range(n)]
        service.start(n_workers)
        service.wait(studies[0], WAIT_S)
        begun, ended = time.monotonic(), sum(service.study(one).state == "succeeded" for one in studies)
        for study in studies:
            assert service.wait(study, WAIT_S).state == "succeeded"
        return (n - ended) / (time.monotonic() - begun)


def main() -> None:
    """Measure both databases, print the figures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="both", choices=["both", *BACKENDS])
    parser.add_argument("--samples", type=int, default=30_000)
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    where, figures = f"{circumstances(os.getloadavg()[0])}; one thread per session", []
    with tempfile.TemporaryDirectory() as folder:
        for figure in measured(
            BACKENDS if chosen.backend == "both" else (chosen.backend,), Path(folder), chosen.samples
        ):
            print(figure.line(), flush=True)
            figures.append(figure)
    if chosen.write is not None:
        command = "python -m benchmarks.workers --write benchmarks/workers.md"
        chosen.write.write_text(page("Workers", where, command, figures))


def measured(backends: tuple[str, ...], folder: Path, n_samples: int) -> Iterator[Figure]:
    """All figures, each as it is known."""
    large, medium = large_study(folder / "large", n_samples), large_study(folder / "medium", n_samples // 8)
    small = write(folder / "small", conv_net(), n=120)
    for backend in backends:
        yield from fan_out(backend, large, small)
        for to, what in (("cancelling", "cancel"), ("paused", "pause")):
            times = steering(backend, medium, to)
            text = f"{max(times):.2f} s (largest of {len(times)}; median {statistics.median(times):.2f} s)"
            yield Figure(name=f"{backend}: evaluator gone after {what}", text=text, value=max(times), goal=5, unit="s")
        for n_workers in (1, 2):
            text = f"{drain(backend, small, n_workers, STUDIES):.2f} per second"
            yield Figure(name=f"{backend}: empty studies drained by {n_workers}", text=text)
    with ThreadPoolExecutor() as threads:
        for backend, seconds in zip(backends, threads.map(lambda one: recovery(one, medium), backends), strict=True):
            text = f"{seconds:.1f} s (heartbeat 5 s, dead after 45 s)"
            yield Figure(name=f"{backend}: recovery after SIGKILL", text=text, value=seconds, goal=75, unit="s")


if __name__ == "__main__":
    main()
