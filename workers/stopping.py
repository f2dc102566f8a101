"""A request to stop that a signal handler may make."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Set once, by a signal or by whoever wants the end; waited for by one thread.

    A handler runs in the middle of whatever the main thread does, also of its waiting or of another handler. It must
    take no lock, for the lock may be held by what it interrupted; that rules ``threading.Event`` out. A pipe has none.
    """

    def __init__(self) -> None:
        read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(read, select.POLLIN)

    def set(self) -> None:
        """Ask for the end."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of requests
            os.write(self._write, b"!")

    def wait(self, timeout: float) -> bool:
        """Wait until the end is asked for, at most ``timeout`` seconds; return whether it is."""
        return bool(self._poll.poll(1000.0 * timeout))

    @contextlib.contextmanager
    def by_signals(self, *numbers: signal.Signals) -> Iterator[None]:
        """Let these signals ask for the end."""

        def note(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.set()

        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
