"""Make the blocking client from the asyncio one: ``python -m service.client.twin`` (a test compares what is there).

The text is the same but for ``async``, ``await`` and the names that stand for them.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE, TARGET = FOLDER / "asynchronous", FOLDER / "synchronous"
BY_HAND = frozenset({"__init__.py", "threads.py"})
_WORDS = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncBaseTransport\b", "BaseTransport"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\baiter_(lines|bytes)\b", r"iter_\1"),
    (r"\baread\b", "read"),
    (r"\baclose\b", "close"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\bAsync(Client|Connection|Blobs|Collections|Studies|Server|Keys)\b", r"\1"),
    (r"service\.client\.asynchronous\b", "service.client.synchronous"),
)


def blocking(text: str) -> str:
    """Return the blocking form of a module."""
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text)
    return text


def modules() -> dict[str, str]:
    """Return the blocking modules by file name."""
    found = sorted(path for path in SOURCE.glob("*.py") if path.name not in BY_HAND)
    return {path.name: blocking(path.read_text()) for path in found}


if __name__ == "__main__":
    for name, text in modules().items():
        (TARGET / name).write_text(text)
