"""How HMCT is told to calibrate, and whether that gives the ranges that were measured.

HMCT documents two methods: ``max``, the largest absolute value or, with ``max_percentile``, that share of them; and
``kl`` on a histogram of ``num_bin`` bins. Ours of the same meaning are ``min_max``, ``percentile`` and ``kl``: the
histogram of the latter has ``N_PER_SIDE`` bins of absolute values. What HMCT does inside is not public beyond these
words, so equal methods mean equal thresholds up to the width of a bin. The other methods, and ranges that were stated
instead of measured, it has no word for: these reach it only with the Q/DQ model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from search.deployment.deployment import Deployment
from search.deployment.members import Member
from search.precision import Format
from search.quant.histogram import N_PER_SIDE
from search.quant.observers.percentile import DEFAULT_SHARE

SECTIONS: dict[str, dict[str, Any]] = {
    "min_max": {"calibration_type": "max"},
    "percentile": {"calibration_type": "max", "max_percentile": DEFAULT_SHARE},
    "kl": {"calibration_type": "kl", "num_bin": [N_PER_SIDE], "max_num_bin": N_PER_SIDE},
}
"""Our methods in HMCT's words."""


def activation_section(deployment: Deployment) -> dict[str, Any]:
    """Return the method that most tensors have; empty where HMCT has none of those in use."""
    used = Counter(method for _, _, method in _measured(deployment) if method in SECTIONS)
    return dict(SECTIONS[used.most_common(1)[0][0]]) if used else {}


def node_section(deployment: Deployment, member: Member) -> dict[str, Any]:
    """Return the calibration of a node whose inputs take another method than most; empty otherwise."""
    if member.group is None:
        return {}
    slots = [(slot.tensor, fmt) for slot, fmt in deployment.slots(member.group) if slot.node == member.name]
    methods = {_method(deployment, tensor, fmt) for tensor, fmt in slots if fmt.is_integer} - {None}
    common, known = activation_section(deployment), [method for method in methods if method in SECTIONS]
    if len(known) != 1 or not common or SECTIONS[known[0]] == common:
        return {}
    return {"activation": dict(SECTIONS[known[0]])}


def not_calibrated(deployment: Deployment) -> dict[str, tuple[str, ...]]:
    """Return the methods, or ``fixed``, that HMCT has no word for, with the tensors that take them."""
    found: dict[str, list[str]] = {}
    for tensor, _, method in _measured(deployment):
        if method not in SECTIONS:
            found.setdefault(method, []).append(deployment.network.tensors[tensor].name)
    return {method: tuple(dict.fromkeys(names)) for method, names in sorted(found.items())}


def _measured(deployment: Deployment) -> Iterator[tuple[int, Format, str]]:
    """Yield tensor, format and method of every integer form in use; ``fixed`` is a method here."""
    for tensor, stored in enumerate(deployment.placement.stored):
        read = {deployment.placement.read[g][s] for g, s in deployment.network.readers[tensor]}
        for fmt in sorted({stored, *read}):
            method = _method(deployment, tensor, fmt)
            if fmt.is_integer and method is not None:
                yield tensor, fmt, method


def _method(deployment: Deployment, tensor: int, fmt: Format) -> str | None:
    observation = deployment.observations.get((tensor, fmt.bits))
    return None if observation is None else "fixed" if observation.fixed else observation.method
