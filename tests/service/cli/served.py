"""``bitbudget serve`` as a process in a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from service.client import Client
from service.client.retries import Retries

START_S = 120.0


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("BITBUDGET_")} | dict(more)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bitbudget", *arguments]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Served:
    """A server that can be ended and started again at the same address.

    Attributes:
        folder: Everything it writes.
        port: Stays the same.
        options: More options of ``serve``.
        settings: Environment of it.
    """

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    key: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What the command line needs to ask it."""
        return environment({"BITBUDGET_URL": self.url, "BITBUDGET_API_KEY": self.key})

    @property
    def log(self) -> str:
        return (self.folder / "serve.err").read_text(errors="replace")

    def start(self) -> None:
        """Start it, without waiting."""
        quick = {"BITBUDGET_HEARTBEAT_S": "0.5", "BITBUDGET_DEAD_S": "5", "BITBUDGET_REQUESTS_PER_S": "100000"}
        quick |= {"BITBUDGET_REQUEST_BURST": "100000", "BITBUDGET_DATA_DIR": str(self.folder / "data")}
        with (self.folder / "serve.out").open("ab") as out, (self.folder / "serve.err").open("ab") as err:
            self.process = subprocess.Popen(
                command("serve", "--port", str(self.port), *self.options),
                env=environment({**quick, **self.settings}),
                stdout=out,
                stderr=err,
            )

    def wait(self) -> None:
        """Wait until it answers; read the key it printed."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                if httpx.get(f"{self.url}/livez", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert self.process is not None
            assert self.process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.05)
        found = re.findall(r"bbk_\S+", (self.folder / "serve.out").read_text())
        self.key = found[0] if found else ""

    def kill(self) -> None:
        """SIGKILL, its workers stay for a moment."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self, seconds: float = 60.0) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def client(self) -> Client:
        return Client(self.url, self.key, retries=Retries(outage_s=60))

    def run(self, *arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A command that asks it."""
        given = command(*[str(one) for one in arguments])
        return subprocess.run(given, env=self.variables, capture_output=True, text=True, timeout=timeout, check=False)


@contextmanager
def served(folder: Path, *options: str, **settings: str) -> Iterator[Served]:
    """A server, ended at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Served(folder, free_port(), options, settings)
    found.start()
    try:
        found.wait()
        yield found
    finally:
        if found.process is not None and found.process.poll() is None:
            try:
                found.end()
            except subprocess.TimeoutExpired:
                found.kill()
