"""What the arithmetic of a chip cannot do."""

from __future__ import annotations


class Infeasible(Exception):  # noqa: N818 - a verdict on one assignment, which the search goes on from
    """A requantize shift (or a bias) outside the range of the chip.

    Attributes:
        node: User's name of the group's node.
        what: Which quantity: ``q`` the right shift of a requantizer, ``bias`` a bias without weights to make coarser.
        value: What it would have to be.
        low: Smallest the chip has.
        high: Largest.
    """

    def __init__(self, node: str, what: str, value: int, low: int, high: int) -> None:
        super().__init__(
            f"OP:{node} {what}:{value} must range in [{low}, {high}] to meet hardware specifications. Calibrate with "
            "other data or another method, or train with quantization (QAT) and start again."
        )
        self.node, self.what, self.value, self.low, self.high = node, what, value, low, high
