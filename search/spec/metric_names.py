"""The metrics a goal can name, which way is better, and what each compares with.

*Labelled* metrics compare an output with labels and can be stated relative to the float model. *Fidelity* metrics
compare an output with the float model's own output, so there is no float value to be relative to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from search.spec.suggestion import did_you_mean

_PLUGIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
Direction = Literal["higher", "lower"]
Ranking = Literal["cosine", "l1", "atol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricName:
    """What the spec must know about a metric.

    Attributes:
        name: Its name in a goal.
        direction: Which values are better.
        fidelity: Compares with the float outputs instead of labels.
        ranking: Ranking metric of its output unless the goal says otherwise.
        share: Values lie in [0, 1].
        classes: Needs an output with one score per class on axis 1 and nothing after it, ``[N, C]``.
    """

    name: str
    direction: Direction
    fidelity: bool = False
    ranking: Ranking
    share: bool = False
    classes: bool = False


METRICS: dict[str, MetricName] = {
    metric.name: metric
    for metric in (
        MetricName(name="top1", direction="higher", ranking="cosine", share=True, classes=True),
        MetricName(name="top5", direction="higher", ranking="cosine", share=True, classes=True),
        MetricName(name="miou", direction="higher", ranking="cosine", share=True),
        MetricName(name="f1", direction="higher", ranking="cosine", share=True, classes=True),
        MetricName(name="cosine", direction="higher", ranking="cosine", fidelity=True),
        MetricName(name="sqnr_db", direction="higher", ranking="cosine", fidelity=True),
        MetricName(name="mae", direction="lower", ranking="l1"),
        MetricName(name="rmse", direction="lower", ranking="l1"),
        MetricName(name="l1", direction="lower", ranking="l1", fidelity=True),
        MetricName(name="auc", direction="higher", ranking="cosine", share=True),
        MetricName(name="eer", direction="lower", ranking="cosine"),
        MetricName(name="f1_binary", direction="higher", ranking="cosine", share=True),
        MetricName(name="wer", direction="lower", ranking="cosine"),
        MetricName(name="cer", direction="lower", ranking="cosine"),
        MetricName(name="coco_map", direction="higher", ranking="cosine", share=True),
        MetricName(name="coco_map50", direction="higher", ranking="cosine", share=True),
        MetricName(name="abs_rel", direction="lower", ranking="l1"),
        MetricName(name="delta1", direction="higher", ranking="l1", share=True),
        MetricName(name="atol", direction="lower", ranking="atol", fidelity=True),
    )
}

RATES = frozenset({"top1", "top5"})
"""Metrics that are a share of right samples."""

PYTHON_PREFIX, PLUGIN_PREFIX = "python:", "plugin:"
CUSTOM_PREFIXES = ("onnx:", PYTHON_PREFIX, PLUGIN_PREFIX)


def is_custom(metric: str) -> bool:
    """Whether ``metric`` is ``onnx:<path>``, ``python:<package.module:name>`` or ``plugin:<name>``."""
    return metric.startswith(CUSTOM_PREFIXES)


def is_python(metric: str) -> bool:
    """Whether ``metric`` is code: the user's own (``python:``), or installed with a package (``plugin:``)."""
    return metric.startswith((PYTHON_PREFIX, PLUGIN_PREFIX))


def check_metric(metric: str) -> None:
    """Refuse a metric that does not exist.

    Raises:
        ValueError: If the name is neither built in nor a well-formed custom metric; the text names the known ones.
    """
    if metric in METRICS:
        return
    if metric.startswith("onnx:"):
        if len(metric) > len("onnx:"):
            return
        raise ValueError("'onnx:' needs the path of the metric's model after the colon")
    if metric.startswith("python:"):
        module, _, function = metric.removeprefix("python:").partition(":")
        if function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
            return
        raise ValueError(f"{metric!r} must read python:package.module:function")
    if metric.startswith(PLUGIN_PREFIX):
        if _PLUGIN.fullmatch(metric.removeprefix(PLUGIN_PREFIX)):
            return
        raise ValueError(f"{metric!r} must read plugin:NAME, a name of the entry point group bitbudget.metrics")
    raise ValueError(
        f"metric {metric!r} is unknown{did_you_mean(metric, METRICS)}; known: {', '.join(METRICS)}, onnx:<path>, "
        "plugin:<name>, python:<module:name>"
    )
