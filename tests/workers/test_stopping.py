"""A request to stop, made by signals that interrupt the waiting for it and each other."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from workers.stopping import StopRequest

STORM = textwrap.dedent(
    """
    import signal, time
    from workers.stopping import StopRequest

    request, seen = StopRequest(), 0
    with request.by_signals(signal.SIGALRM):
        signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            seen += request.wait(1e-4)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    print(seen)
    """
)


def test_it_is_seen_once_it_is_made():
    request = StopRequest()
    assert not request.wait(0.0)
    request.set()
    request.set()
    assert request.wait(0.0)
    assert request.wait(5.0)


def test_signals_that_interrupt_everything_do_not_lock_the_process():
    """With a threading.Event, whose lock a handler may find held by what it interrupts, this never ends."""
    done = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) > 100


def test_more_requests_than_a_pipe_holds():
    request = StopRequest()
    for _ in range(100_000):
        request.set()
    assert request.wait(0.0)
