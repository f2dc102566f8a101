"""The pipe between an evaluator and its parent: one JSON value per line, both ways.

Parent to child: ``open``, ``run``, ``deliver``, ``blob``, ``stop``. Child to parent: ``item``, ``file``,
``want``, ``done``, ``error``. The child's standard output is kept for this alone: what libraries print goes to
standard error.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import Any, BinaryIO

from search.canonical import canonical_json

CHUNK = 2**16


class Pipe:
    """The child's end. A thread reads, so that the death of the parent ends the child whatever it is computing.

    It begins after the first request: until the walls around the process stand, it has one thread.
    """

    def __init__(self) -> None:
        self._out = _take_stdout()
        self._inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stop = threading.Event()
        self._rest = b""

    def send(self, say: str, **values: Any) -> None:
        """Write one line."""
        self._out.write(canonical_json({"say": say, **values}).encode() + b"\n")
        self._out.flush()

    def receive_first(self) -> dict[str, Any]:
        """Wait for the first line; this process ends if there is none."""
        while self._inbox.empty():
            self._read_some()
        return self._inbox.get()

    def start(self) -> None:
        """Read on in a thread."""
        threading.Thread(target=self._read, daemon=True).start()

    def receive(self) -> dict[str, Any]:
        """Wait for the next line; ``stop`` is not among them."""
        return self._inbox.get()

    def begin(self) -> None:
        """A new request: forget an earlier wish to stop."""
        self._stop.clear()

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether to stop after the item at hand."""
        return self._stop.is_set()

    def _read(self) -> None:
        while True:
            self._read_some()

    def _read_some(self) -> None:
        # os.read, not sys.stdin: its lock would be held when the interpreter ends.
        data = os.read(0, CHUNK)
        if not data:
            os._exit(0)  # the parent is gone, and nobody needs what is being computed
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["op"] == "stop":
                self._stop.set()
            else:
                self._inbox.put(message)


def _take_stdout() -> BinaryIO:
    """Keep standard output to ourselves; anybody else's prints go to standard error."""
    own = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(own, "wb")
