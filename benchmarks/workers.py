"""What workers cost and save: ``python -m benchmarks.workers --write benchmarks/workers.md``.

Real worker processes on a fresh database, one thread per session:

- fan-out: one study whose evaluations dominate, on one worker and on two; goal 1.7 times as fast;
- recovery: from SIGKILL of the worker that computes to the end of its task on another one, with the default heartbeat
  of 5 s and 45 s of silence that mean death, and nobody who saw it die (goal 75 s: 45 s, and the task once more);
- steering: from the row that says ``cancelling`` or ``paused`` to the end of the evaluator; goal 5 s;
- drain: studies without evaluation (calibration at random, all-low exported) per second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, circumstances, page
from service.db import items, tasks
from tests.builders import conv, model, node, save
from tests.service.databases import new_url
from tests.study.small import Files, conv_net, labels_of, write
from tests.workers.installation import Installation, Worker, installation, is_running

BACKENDS = ("sqlite", "postgresql")
GOAL = [{"metric": "top1", "max_drop": 0.01}]
WAIT_S = 1800.0
REPEATS = 5
TASK_MACS = 2e10
"""Of the study that is shared: a second or two per task."""
SHARED = ("sensitivity", "search")
"""Phases with many tasks."""


@contextmanager
def fresh(backend: str, **settings: float) -> Iterator[Installation]:
    """An installation that vanishes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        new_url(backend) as url,
        installation(Path(folder), url, **settings) as made,
    ):
        yield made


def large_study(folder: Path, n: int) -> Files:
    """A network of 24 convolutions on 32 x 32 pictures: 11 M multiply-accumulates per picture."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    constants, nodes, value, channels = {}, [], "x", 3
    for i in range(24):
        width = 16 if i < 8 else 24
        constants[f"w{i}"] = rng.normal(0, (2 / (9 * channels)) ** 0.5, (width, channels, 3, 3))
        if i == 3:
            constants["w3"][5:9] *= 400.0  # loud channels that nobody listens to: 8 bits are not enough here
        if i == 4:
            constants["w4"][:, 5:9] = 0.0
        stride = 2 if i in (8, 16) else 1
        nodes.append(conv(f"c{i}", value, f"y{i}", weight=f"w{i}", pads=[1, 1, 1, 1], strides=[stride, stride]))
        nodes.append(node("Relu", f"y{i}", f"r{i}", f"relu{i}"))
        value, channels = f"r{i}", width
    constants["head"] = rng.normal(0, 1, (channels, 10))
    nodes += [node("GlobalAveragePool", value, "p"), node("Flatten", "p", "f"), node("Gemm", "f head", "logits", "fc")]
    proto = model(nodes, ["x[N,3,32,32]"], ["logits[N,10]"], constants)
    x = rng.normal(0, 1, (n, 3, 32, 32)).astype(np.float32)
    np.savez(folder / "calibration.npz", x=x[:32])
    np.savez(folder / "evaluation.npz", x=x, **labels_of(proto, x))
    return Files(save(proto, folder), folder / "calibration.npz", folder / "evaluation.npz")


def fan_out(backend: str, files: Files, n_workers: int, task_macs: float) -> tuple[float, float]:
    """Seconds of a study on so many workers, and the seconds its items took."""
    with fresh(backend) as service:
        service.start(n_workers)
        time.sleep(5.0)
        begun = time.monotonic()
        study = service.submit(files, goal=GOAL, search={"task_macs": task_macs})
        row = service.wait(study, WAIT_S)
        assert row.state == "succeeded", row.error
        seconds = time.monotonic() - begun
        with service.database.reading() as c:
            computed = sum(result.seconds for result in items.read(c, study).values())
            shared = items.count_by_kind(c, study)
        assert shared.get("sensitivity"), "this study decides nothing"
        return seconds, computed


def busy_worker(service: Installation, study: str) -> Worker:
    """The worker that computes a task of the study."""
    while True:
        with service.database.reading() as c:
            running = [task.worker for task in tasks.listing(c, study) if task.state == "running" and task.worker]
        for worker in service.workers:
            if any(f"-{worker.process.pid}-" in name for name in running):
                return worker
        time.sleep(0.005)


def recovery(backend: str, files: Files) -> float:
    """Seconds from SIGKILL to the end of the task that was being computed."""
    with fresh(backend, heartbeat_s=5.0, dead_s=45.0) as service:
        service.start(2)
        study = service.submit(files, goal=GOAL, search={"task_macs": TASK_MACS / 10})
        service.wait(study, WAIT_S, until=lambda row: row.phase in SHARED)
        victim = busy_worker(service, study)
        victim.kill()
        begun, left = time.monotonic(), unfinished(service, study, victim)
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
    parser.add_argument("--samples", type=int, default=12000)
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    where, figures = f"{circumstances(os.getloadavg()[0])}; one thread per session", []
    with tempfile.TemporaryDirectory() as folder:
        large = large_study(Path(folder) / "large", chosen.samples)
        small = write(Path(folder) / "small", conv_net(), n=120)
        for backend in BACKENDS if chosen.backend == "both" else (chosen.backend,):
            for figure in measured(backend, large, small):
                print(figure.line(), flush=True)
                figures.append(figure)
    if chosen.write is not None:
        command = "python -m benchmarks.workers --write benchmarks/workers.md"
        chosen.write.write_text(page("Workers", where, command, figures))


def measured(backend: str, large: Files, small: Files) -> Iterator[Figure]:
    """All figures of one database, each as it is known."""
    one, computed = fan_out(backend, large, 1, TASK_MACS)
    two, _ = fan_out(backend, large, 2, TASK_MACS)
    text = f"{one / two:.2f} x (1 worker {one:.1f} s, its items {computed:.1f} s; 2 workers {two:.1f} s)"
    name = f"{backend}: two workers against one"
    yield Figure(name=name, text=text, value=one / two, goal=1.7, unit="x", is_least=True)
    seconds = recovery(backend, large)
    text = f"{seconds:.1f} s (heartbeat 5 s, dead after 45 s)"
    yield Figure(name=f"{backend}: recovery after SIGKILL", text=text, value=seconds, goal=75, unit="s")
    for to, what in (("cancelling", "cancel"), ("paused", "pause")):
        times = steering(backend, large, to)
        text = f"{max(times):.2f} s (largest of {len(times)}; median {statistics.median(times):.2f} s)"
        yield Figure(name=f"{backend}: evaluator gone after {what}", text=text, value=max(times), goal=5, unit="s")
    for n_workers in (1, 2):
        text = f"{drain(backend, small, n_workers, 20):.2f} per second"
        yield Figure(name=f"{backend}: empty studies drained by {n_workers}", text=text)


if __name__ == "__main__":
    main()
