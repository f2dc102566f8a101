"""Runs studies as durable jobs; never imports the web stack."""

import os

from search import telemetry  # noqa: F401  # importing the core switches telemetry off, here as everywhere

# The order of a sum, and with it its last bit, must not depend on how many processors a machine has: linear algebra
# gets one thread, before anything loads it. What runs in parallel are sessions and tasks.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
