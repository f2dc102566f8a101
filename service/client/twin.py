"""Make the blocking client from the asyncio one: ``python service/client/twin.py`` (a test compares what is there).

The text is the same but for ``async``, ``await`` and the names that stand for them. Formatted by ruff, so it is run by
those who change the source only.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE, TARGET = FOLDER / "asynchronous", FOLDER / "synchronous"
BY_HAND = frozenset({"__init__.py", "threads.py"})
_WORDS = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bAsyncBaseTransport\b", "BaseTransport"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\baiter_(lines|bytes)\b", r"iter_\1"),
    (r"\baread\b", "read"),
    (r"\baclose\b", "close"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\bAsync(Client|Connection|Blobs|Collections|Studies|Server|Keys|Webhooks)\b", r"\1"),
    (r"service\.client\.asynchronous\b", "service.client.synchronous"),
)


def blocking(text: str) -> str:
    """Return the blocking form of a module."""
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text)
    while (start := text.find("(await ")) >= 0:
        text = _unwrapped(text, start)
    return text.replace("await ", "")


def _unwrapped(text: str, start: int) -> str:
    """Drop ``await`` and the parentheses that begin at ``start``; they stay where no dot follows."""
    depth = 0
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            break
    inner = text[start + len("(await ") : end]
    is_needless = text[end + 1 : end + 2] == "." and (start == 0 or not text[start - 1].isidentifier())
    return text[:start] + (inner if is_needless else f"({inner})") + text[end + 1 :]


def modules() -> dict[str, str]:
    """Return the blocking modules by file name."""
    found = sorted(path for path in SOURCE.glob("*.py") if path.name not in BY_HAND)
    return {path.name: blocking(path.read_text()) for path in found}


def write(folder: Path) -> None:
    """Write the blocking modules into a folder."""
    made = []
    for name, text in modules().items():
        made.append(str(folder / name))
        (folder / name).write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--quiet", "--config", str(FOLDER.parents[1] / "pyproject.toml")]
    subprocess.run([*ruff, "check", "--fix", "--select", "I", *config, *made], check=True)  # noqa: S603
    subprocess.run([*ruff, "format", *config, *made], check=True)  # noqa: S603


if __name__ == "__main__":
    write(TARGET)
