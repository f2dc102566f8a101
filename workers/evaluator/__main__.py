"""``python -m workers.evaluator``: started by a worker, never by hand."""

from __future__ import annotations

import os
import sys

from workers.evaluator.guard import restrict
from workers.evaluator.lines import Pipe


def main() -> None:
    """Restrict the process, then serve requests until the parent closes the pipe."""
    memory_bytes, file_bytes, parent = (int(text) for text in sys.argv[1:4])
    restrict(memory_bytes=memory_bytes, file_bytes=file_bytes, parent=parent)
    pipe = Pipe()
    from workers.evaluator.serving import serve  # noqa: PLC0415  # the limits hold before anything large is loaded

    serve(pipe)
    os._exit(0)


if __name__ == "__main__":
    main()
