"""Loading libraries of compiled code while a signal may arrive.

A handler that raises inside an extension module which is being loaded passes an exception through code that knows
none, and the process is aborted instead of ended.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

WAITING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block has ended; only the main thread gets any.

    The handlers are exchanged instead of the signals blocked: what is blocked in one thread is taken by the next.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in WAITING}
    known = {number: handler for number, handler in handlers.items() if handler is not None}
    for number in known:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)
