"""A command under strace, in a home of its own: which addresses it talks to, and what it leaves at home."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_INET = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
_CI = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "GITLAB_CI", "ORT_DISABLE_TELEMETRY", "JENKINS_URL", "BUILD_ID", "TRAVIS")
DNS = 53


@dataclass(frozen=True)
class Home:
    """A home directory and a folder for traces.

    Attributes:
        folder: ``HOME`` of the command; nothing may appear in it.
        traces: Where strace writes, one file per process.
    """

    folder: Path
    traces: Path

    @property
    def variables(self) -> dict[str, str]:
        """This process's environment without what tells a library that it is watched, and without settings of ours."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in _CI and not name.startswith(("BITBUDGET_", "XDG_"))
        }
        return {**kept, "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def command(self, *arguments: str) -> list[str]:
        """A command of this interpreter, traced with everything it starts."""
        calls = "trace=connect,sendto,sendmsg,sendmmsg"
        return ["strace", "-ff", "-qq", "-e", calls, "-o", str(self.traces / "trace"), sys.executable, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        given = self.command(*arguments)
        return subprocess.run(given, env=self.variables, capture_output=True, text=True, timeout=600, check=False)

    def talked_to(self) -> set[tuple[str, int]]:
        """Addresses and ports that any process connected or sent to over IP."""
        found = set()
        for trace in self.traces.iterdir():
            for port, address in _INET.findall(trace.read_text(errors="replace")):
                found.add((address, int(port)))
        return found

    def strangers(self) -> set[tuple[str, int]]:
        """Those that are not this machine, and name servers wherever they run."""
        return {
            (address, port)
            for address, port in self.talked_to()
            if port == DNS or not ipaddress.ip_address(address).is_loopback
        }

    def left(self) -> Sequence[str]:
        """What lies at home."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


def home(folder: Path) -> Home:
    """An empty home below ``folder``."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    made = Home(folder / "home", folder / "traces")
    made.folder.mkdir()
    made.traces.mkdir()
    return made
