"""What each extra brings, in packages and MB: ``python -m benchmarks.footprint``, from PyPI into folders that go again.

And what a command costs before it does anything: processor seconds and memory of a fresh process, the least of five.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("", "[optuna]", "[s3]", "[service]", "[all]")
COMMANDS = (
    ["--help"],
    ["targets"],
    ["status", "--help"],
    ["submit", "--help"],
    ["check", "--help"],
    ["search", "--help"],
)
ROUNDS = 5


def main() -> None:
    """Print both tables."""
    print("| install | packages | MB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        wheels = Path(place) / "wheels"
        pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
        (wheel,) = wheels.glob("*.whl")
        for number, extra in enumerate(EXTRAS):
            target = Path(place) / str(number)
            pip("install", "--target", str(target), f"{wheel}{extra}")
            print(
                f"| `bitbudget{extra}` | {len(list(target.glob('*.dist-info')))} | {megabytes(target):.0f} |",
                flush=True,
            )
    print("\n| command | CPU s | MB |\n|---|---|---|")
    for command in COMMANDS:
        seconds, memory = min(cost(command) for _ in range(ROUNDS))
        print(f"| `bitbudget {' '.join(command)}` | {seconds:.2f} | {memory / 1024:.0f} |")


def pip(*arguments: str) -> None:
    given = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(given, check=True, stderr=subprocess.DEVNULL)


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc") / 1e6


def cost(command: list[str]) -> tuple[float, int]:
    """Processor seconds and the peak of memory in KiB of one run."""
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.execv(sys.executable, [sys.executable, "-m", "bitbudget", *command])
    _, status, used = os.wait4(process, 0)
    assert status == 0, command
    assert isinstance(used, resource.struct_rusage)
    return used.ru_utime + used.ru_stime, used.ru_maxrss


if __name__ == "__main__":
    main()
