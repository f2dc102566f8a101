"""The quantization loss as the Knight tools print it, in percent of float: ``|fix - float| / |float| * 100``."""

from __future__ import annotations

from search.metrics.metric import MetricValue

NO_FLOAT = "the float model has no value of its own for this metric"
FLOAT_ZERO = "the float value is 0, so there is nothing to relate the difference to"
NO_FIXED = "the quantized model has no value"


def quantization_loss(fixed: float | None, reference: float | None) -> MetricValue:
    """Return the loss in percent, or None with the reason.

    Args:
        fixed: Value of the quantized model.
        reference: Value of the float model.
    """
    if reference is None:
        return MetricValue(None, NO_FLOAT)
    if fixed is None:
        return MetricValue(None, NO_FIXED)
    if reference == 0:
        return MetricValue(None, FLOAT_ZERO)
    return MetricValue(abs(fixed - reference) / abs(reference) * 100)
