"""Settings of the whole suite."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

import search  # noqa: F401  # switches telemetry off before any test imports ONNX Runtime

# The same examples in every run: a change is to blame for a failure, not the dice. No deadline: machines are shared.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# A shell without job control lets what it runs in the background ignore Ctrl-C, and so would all the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
