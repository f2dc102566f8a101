"""The fork server (``python -m workers.evaluator``) of a worker's evaluators; started by a worker, never by hand.

It loads the libraries once and then forks an evaluator per request: loading them takes seconds, a fork milliseconds. It
never sees an input itself, so every evaluator starts from the same clean state. One thread only: that is what makes
forking safe.

Control socket (one JSON value per message): request ``{"folder"}`` with two descriptors, the pipe and standard error;
answers ``{"environment"}``, ``{"started": pid}``, ``{"ended": pid, "status": n}``.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
from typing import Any

from workers.evaluator.confinement import available
from workers.evaluator.guard import MAX_FILES, die_with_parent, hide, ignore_terminal, restrict
from workers.evaluator.lines import Pipe

MESSAGE_BYTES = 65536


def main() -> None:
    """Serve requests until the worker closes the socket or dies."""
    number, memory_bytes, file_bytes, parent = (int(text) for text in sys.argv[1:5])
    die_with_parent(parent)
    ignore_terminal()
    hide()
    from workers.evaluator.serving import environment  # noqa: PLC0415  # nothing may outlive the worker even here

    gc.freeze()  # what is loaded stays, and pages that the collector leaves alone are shared by all evaluators
    fork_server = _ForkServer(socket.socket(fileno=number), memory_bytes, file_bytes)
    fork_server.send(environment=environment(), walls=available())
    fork_server.serve()


class _ForkServer:
    """Forks evaluators and tells how they ended."""

    def __init__(self, control: socket.socket, memory_bytes: int, file_bytes: int) -> None:
        self._control = control
        self._memory_bytes = memory_bytes
        self._file_bytes = file_bytes
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def send(self, **message: Any) -> None:
        """Tell the worker something."""
        self._control.send(json.dumps(message).encode())

    def serve(self) -> None:
        """Fork and reap."""
        watched: list[Any] = [self._control, self._woken]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._woken in ready:
                os.read(self._woken, MESSAGE_BYTES)
                self._reap()
            if self._control in ready:
                data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 2)
                if not data:
                    return
                self._fork(json.loads(data)["folder"], descriptors)

    def _fork(self, folder: str, descriptors: list[int]) -> None:
        fork_server = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self._be_evaluator(folder, descriptors, fork_server)
            finally:
                os._exit(70)  # never back into the loop above
        for descriptor in descriptors:
            os.close(descriptor)
        self.send(started=pid)

    def _be_evaluator(self, folder: str, descriptors: list[int], fork_server: int) -> None:
        from workers.evaluator.serving import serve  # noqa: PLC0415  # loaded already

        pipe, errors = descriptors
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for source, target in ((pipe, 0), (pipe, 1), (errors, 2)):
            os.dup2(source, target)
        os.closerange(3, MAX_FILES)  # nothing of the fork server is left open
        os.chdir(folder)
        os.environ.update(HOME=folder, TMPDIR=folder)
        tempfile.tempdir = None
        restrict(memory_bytes=self._memory_bytes, file_bytes=self._file_bytes, parent=fork_server)
        serve(Pipe())
        os._exit(0)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.send(ended=pid, status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
