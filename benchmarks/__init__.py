"""What is measured, against what, by which command."""

import search  # noqa: F401  # switches telemetry off before any benchmark imports ONNX Runtime
