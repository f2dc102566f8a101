"""What ``ort_overrides.json`` cannot say: ONNX Runtime's quantizer knows integers and float32 only."""

from __future__ import annotations

from search.deployment.deployment import Deployment
from search.deployment.gap import Gap
from search.precision import Format

OVERRIDES = "ort_overrides.json"


def ort_gaps(deployment: Deployment) -> tuple[Gap, ...]:
    """Return the gaps of the file."""
    halves = _halves(deployment)
    shared = _shared(deployment)
    found = []
    if halves:
        found.append(
            Gap(
                file=OVERRIDES,
                decision="precision",
                subjects=halves,
                effect="values stored in fp16, pre-scaled or not, stay in float32 instead of being rounded",
            )
        )
    if shared:
        found.append(
            Gap(
                file=OVERRIDES,
                decision="precision",
                subjects=shared,
                effect="constants that several operators read in different formats have the one of the first",
            )
        )
    return tuple(found)


def _halves(deployment: Deployment) -> tuple[str, ...]:
    stored = zip(deployment.network.tensors, deployment.placement.stored, strict=True)
    return tuple(tensor.name for tensor, fmt in stored if fmt is Format.FP16)


def _shared(deployment: Deployment) -> tuple[str, ...]:
    formats: dict[str, set[Format]] = {}
    for constant, fmt in zip(deployment.network.constants, deployment.placement.constants, strict=True):
        formats.setdefault(constant.name, set()).add(fmt)
    return tuple(name for name, found in formats.items() if len(found) > 1)
