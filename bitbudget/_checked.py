"""What ``bitbudget.check`` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bitbudget._rows import Rows


@dataclass(frozen=True)
class CheckedModel:
    """A model read without data, under the rules of a chip.

    Attributes:
        groups: One row per group: ``name``, ``op_type``, ``class``, ``nodes``, ``macs``, ``share`` (of compute, of 1),
            ``precisions`` (those the chip allows, cheapest first).
        findings: One row per finding: ``code``, ``severity``, ``message``, ``advice``, ``evidence``.
        outputs: Names of the model's outputs.
        document: All of it, as ``bitbudget check --json`` prints it.
    """

    groups: Rows
    findings: Rows
    outputs: tuple[str, ...]
    document: Mapping[str, Any]
