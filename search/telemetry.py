"""Telemetry of libraries, switched off for this process and all it starts.

ONNX Runtime >= 1.29 writes a device id and a queue of events (graph and node names among them) below the user's cache
directory and sends them. It reads the switch once, when its library is loaded: whatever imports ``search``, or anything
below it, has set it before. DBOS connects to its vendor's console where its cloud set the environment up.
"""

from __future__ import annotations

import os

SWITCHES = {"ORT_DISABLE_TELEMETRY": "1", "DBOS__CLOUD": "false"}
"""Environment variable to the value that keeps a library from reporting."""


def switch_off() -> None:
    """Set every switch, whatever the environment said before: no operator is asked to know them."""
    os.environ.update(SWITCHES)
