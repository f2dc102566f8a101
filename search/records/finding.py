"""A finding: one observation with its evidence and the way out. Findings are data; a program may act on their codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One observation.

    Attributes:
        code: Stable name, such as ``goal-above-float``.
        severity: ``error`` explains a missed goal, ``warning`` wants a look, ``note`` is for the record.
        message: What was seen, where, with numbers.
        advice: What to do.
        evidence: JSON values behind the message.
    """

    code: str
    severity: Severity
    message: str
    advice: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
