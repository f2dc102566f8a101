"""What a file of a vendor's format cannot say of a deployment, and what then differs from what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decision = Literal[
    "precision", "side", "threshold", "method", "fixed-range", "pre-scale", "output", "input", "summed-input", "pin",
]  # fmt: skip
_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One decision of the search that a file does not carry.

    Attributes:
        file: Path below the output folder.
        decision: Which kind.
        subjects: Nodes or tensors concerned.
        effect: What differs, as a sentence without its full stop.
    """

    file: str
    decision: Decision
    subjects: tuple[str, ...]
    effect: str

    @property
    def sentence(self) -> str:
        """The gap in words, for a comment in the file and for a finding."""
        listed = ", ".join(self.subjects[:_LISTED])
        more = f" and {len(self.subjects) - _LISTED} more" if len(self.subjects) > _LISTED else ""
        return f"{self.effect}: {listed}{more}." if listed else f"{self.effect}."
