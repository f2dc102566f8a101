"""How much of the compute of a delivered assignment is in integers, and how much could be."""

from __future__ import annotations

from dataclasses import dataclass

LITTLE = 0.5
"""Below this share of the compute a verdict says mostly what float reaches, and says so."""
NOTHING = 0.0005
"""What rounds to 0.0 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedRecord:
    """Shares of compute, 0 to 1.

    Attributes:
        share: In integers in the delivered assignment.
        possible: Of groups that have an integer precision on the target, whatever the search chose.
        in_subgraphs: Inside If, Loop and Scan, which always stay float.
        tensors: Of the values that groups write, counted, those whose group is in integers in the delivered assignment;
            None where none is written, and in files of before.
        unit: ``macs``; ``elements`` where no operator multiplies and accumulates.
        is_float_allowed: Whether the job accepts a network that cannot be quantized.
    """

    share: float
    possible: float
    in_subgraphs: float = 0.0
    tensors: float | None = None
    unit: str = "macs"
    is_float_allowed: bool = False

    @property
    def is_little(self) -> bool:
        """Whether less than half of the compute is in integers."""
        return self.share < LITTLE

    @property
    def is_bound(self) -> bool:
        """Whether less than half of the compute has an integer form at all."""
        return self.possible < LITTLE

    @property
    def is_nothing(self) -> bool:
        """Whether no compute has an integer form, and the job does not accept that."""
        return self.possible < NOTHING and not self.is_float_allowed

    @property
    def told(self) -> str:
        """What the verdict line adds; empty where most of the compute is in integers."""
        if not self.is_little:
            return ""
        return "nothing is quantized" if self.share < NOTHING else f"only {self.share:.1%} of compute is quantized"
