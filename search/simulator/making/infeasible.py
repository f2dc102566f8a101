"""What the arithmetic of a chip cannot do."""

from __future__ import annotations


class Infeasible(Exception):
    """A requantize shift outside the range of the chip.

    Attributes:
        node: User's name of the group's node.
        what: Which quantity, e.g. ``q2``.
        value: What it would have to be.
        low: Smallest the chip has.
        high: Largest.
    """

    def __init__(self, node: str, what: str, value: int, low: int, high: int) -> None:
        super().__init__(
            f"OP:{node} {what}:{value} must range in [{low}, {high}] to meet hardware specifications. Calibrate with other "
            "data or another method, or train with quantization and start again."
        )
        self.node, self.what, self.value, self.low, self.high = node, what, value, low, high
