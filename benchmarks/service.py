"""How the service behaves as a whole, on this machine, with SQLite: real processes over real HTTP.

``python -m benchmarks.service --write benchmarks/service.md`` measures:

- *submit*: p95 of ``POST /v1/studies`` from one client, inputs uploaded before (goal 200 ms);
- *drained*: studies per second from the queue to their end, each with a model that its first task refuses, so that
  nothing but the service's own work is measured;
- *recovery*: from SIGKILL of a worker in the middle of a study to the next finished item of this study, with the
  default settings. The server sees its own workers die, so neither the heartbeat (5 s) nor the silence of a dead one
  (45 s) counts: with one worker it is the start of another process, with two the other one takes over (goal 75 s);
- *upload*: MB/s of one large file, and by how much the server's memory grows meanwhile (goal 32 MiB);
- *events*: lost and repeated events over forced disconnects of a stream, while events arrive (goal 0).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.figures import Figure, circumstances, page
from service.client import Client
from service.client.event_lines import EventLines
from service.client.retries import Retries
from tests.workers.installation import children_of

DIGITS = Path(__file__).resolve().parents[1] / "examples/digits"
MIB = 2**20
SETTINGS = {
    "BITBUDGET_REQUESTS_PER_S": "100000",
    "BITBUDGET_REQUEST_BURST": "100000",
    "BITBUDGET_MAX_QUEUED_STUDIES": "100000",
}


@dataclass
class Server:
    """A running ``bitbudget serve``."""

    url: str
    key: str
    pid: int

    def client(self) -> Client:
        """Return a client of it."""
        return Client(self.url, self.key, retries=Retries(outage_s=60), timeout_s=300)


@contextmanager
def serving(n_workers: int, slots: int = 1) -> Iterator[Server]:
    """A fresh server in a temporary directory."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bitbudget-benchmark-") as folder:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BITBUDGET_")}
        options = ["--port", str(port), "--workers", str(n_workers), "--slots", str(slots)]
        with (Path(folder) / "out").open("w") as out, (Path(folder) / "err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "bitbudget", "serve", *options],
                env={**environment, **SETTINGS, "BITBUDGET_DATA_DIR": f"{folder}/data"},
                stdout=out,
                stderr=err,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: is_live(url))
            key = re.findall(r"bbk_\S+", (Path(folder) / "out").read_text())[0]
            yield Server(url, key, process.pid)
        finally:
            process.terminate()
            process.wait(120)


def is_live(url: str) -> bool:
    """Whether a server answers."""
    try:
        return httpx.get(f"{url}/livez", timeout=5).is_success
    except httpx.HTTPError:
        return False


def until(holds: Any, seconds: float = 300.0) -> None:
    """Wait for something.

    Raises:
        TimeoutError: If it does not come.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("what is measured did not happen")
        time.sleep(0.02)


def spec_of(client: Client, model: Path = DIGITS / "digits.onnx") -> dict[str, Any]:
    """A job whose inputs are uploaded."""
    data = {
        "calibration": client.blobs.put(DIGITS / "calibration.npz"),
        "evaluation": client.blobs.put(DIGITS / "evaluation.npz"),
    }
    return {"model": client.blobs.put(model), "data": data, "target": {"name": "j6m"}}


def submit_ms(n: int) -> list[float]:
    """Milliseconds of each of ``n`` submissions."""
    with serving(0) as server, server.client() as client:
        spec = spec_of(client)
        client.studies.submit(spec)
        times = []
        for _ in range(n):
            began = time.perf_counter()
            client.studies.submit(spec)
            times.append(1000 * (time.perf_counter() - began))
        return sorted(times)


def drained_per_s(n: int) -> float:
    """Studies per second that end, each at its first task."""
    with serving(1, slots=2) as server, server.client() as client, tempfile.TemporaryDirectory() as folder:
        broken = Path(folder) / "broken.onnx"
        broken.write_bytes(b"no model")
        spec = spec_of(client, broken)
        client.studies.wait(client.studies.submit(spec).id)  # the worker is up
        studies = [client.studies.submit(spec).id for _ in range(n)]
        began = time.perf_counter()
        for study in reversed(studies):
            client.studies.wait(study)
        return n / (time.perf_counter() - began)


def recovery_s(n: int, n_workers: int) -> list[float]:
    """Seconds from a worker's death to the next item of its study."""
    times = []
    with serving(n_workers) as server, server.client() as client:
        spec = spec_of(client)
        for _ in range(n):
            until(lambda: sum(one.silent_s < 12 for one in client.operator.workers()) == n_workers)
            study = client.studies.submit(spec).id
            until(lambda study=study: n_items(client, study) >= 3)
            os.kill(computing(client), signal.SIGKILL)
            began = time.perf_counter()
            before = n_items(client, study)
            until(lambda study=study, before=before: n_items(client, study) > before or ended(client, study))
            times.append(time.perf_counter() - began)
            client.studies.wait(study)
    return sorted(times)


def computing(client: Client) -> int:
    """Process id of a worker that has an evaluator; its only child forks them."""
    while True:
        for worker in client.operator.workers():
            if any(children_of(fork_server) for fork_server in children_of(worker.pid)):
                return worker.pid


def n_items(client: Client, study: str) -> int:
    """Items of a study that are finished."""
    return sum(one.kind == "progress" for one in client.studies.events(study))


def ended(client: Client, study: str) -> bool:
    """Whether it has."""
    return client.studies.get(study).is_terminal


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.findall(r"VmRSS:\s+(\d+)", text)[0])


def upload(size: int) -> tuple[float, float]:
    """MB/s of one upload, and MiB by which the server grew."""
    with serving(0) as server, server.client() as client, tempfile.TemporaryDirectory() as folder:
        path, hashed = Path(folder) / "file", hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(size // MIB):
                block = os.urandom(MIB)
                hashed.update(block)
                file.write(block)
        client.blobs.put(DIGITS / "digits.onnx")
        before = peak = rss(server.pid)
        done = threading.Event()

        def look() -> None:
            nonlocal peak
            while not done.wait(0.01):
                peak = max(peak, rss(server.pid))

        watcher = threading.Thread(target=look)
        watcher.start()
        began = time.perf_counter()
        client.blobs.send(path, hashed.hexdigest())
        seconds = time.perf_counter() - began
        done.set()
        watcher.join()
        return size / 1e6 / seconds, (peak - before) / MIB


def events(disconnects: int) -> tuple[int, int, int]:
    """Events of a study that is paused and resumed; how many of them a reader missed, and had twice."""
    with serving(0) as server, server.client() as client:
        study = client.studies.submit(spec_of(client)).id
        done = threading.Event()

        def change() -> None:
            with server.client() as other:
                while not done.is_set():
                    other.studies.pause(study)
                    other.studies.resume(study)
                other.studies.cancel(study)

        thread = threading.Thread(target=change)
        thread.start()
        seen: list[int] = []
        headers = {"Authorization": f"Bearer {server.key}", "Accept": "text/event-stream"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as http:
            for n in range(disconnects):
                seen += read_some(http, study, seen[-1] if seen else 0, 1 + n % 7)
            done.set()
            thread.join()
            seen += read_some(http, study, seen[-1], 10**9)
        there: list[int] = []
        while more := client.studies.events(study, after=there[-1] if there else 0):
            there += [one.id for one in more]
        return len(there), len(set(there) - set(seen)), len(seen) - len(set(seen))


def read_some(http: httpx.Client, study: str, after: int, most: int) -> list[int]:
    """Ids of up to ``most`` events behind one; then the connection is cut."""
    lines, found = EventLines(), []
    with http.stream("GET", f"/v1/studies/{study}/events", headers={"Last-Event-ID": str(after)}) as answer:
        for line in answer.iter_lines():
            event = lines.add(line)
            if event is not None:
                found.append(event.id)
                if len(found) >= most:
                    break
    return found


def main() -> None:
    """Measure everything, print it and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=300)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--disconnects", type=int, default=100)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    how = "SQLite, default settings but for the limits on requests and waiting studies"
    where, figures = f"{circumstances(os.getloadavg()[0])}; {how}", []
    for figure in measured(given):
        print(figure.line(), flush=True)
        figures.append(figure)
    if given.write is not None:
        command = "python -m benchmarks.service --write benchmarks/service.md"
        given.write.write_text(page("Service", where, command, figures))


def measured(given: argparse.Namespace) -> Iterator[Figure]:
    """All figures, each as it is known."""
    times = submit_ms(given.submissions)
    p95, median = times[int(0.95 * (len(times) - 1))], times[len(times) // 2]
    text = f"{p95:.0f} ms ({len(times)} submissions, median {median:.0f} ms)"
    yield Figure(name="submit p95", text=text, value=p95, goal=200, unit="ms")
    text = f"{drained_per_s(given.studies):.1f} per second ({given.studies} studies, two slots)"
    yield Figure(name="studies drained", text=text)
    for n_workers, how in ((1, "a new process begins"), (2, "another worker takes over")):
        times = recovery_s(given.kills, n_workers)
        text = f"{times[len(times) // 2]:.1f} s (median of {len(times)}; largest {times[-1]:.1f} s)"
        yield Figure(name=f"recovery after SIGKILL: {how}", text=text, value=times[-1], goal=75, unit="s")
    speed, growth = upload(given.megabytes * MIB)
    yield Figure(name="upload", text=f"{speed:.0f} MB/s ({given.megabytes} MiB)")
    yield Figure(name="memory growth", text=f"{growth:.0f} MiB", value=growth, goal=32, unit="MiB")
    n, lost, repeated = events(given.disconnects)
    yield Figure(name="events lost", text=f"{lost} of {n} ({given.disconnects} disconnects)", value=lost, goal=0)
    yield Figure(name="events repeated", text=f"{repeated}", value=repeated, goal=0)


if __name__ == "__main__":
    main()
