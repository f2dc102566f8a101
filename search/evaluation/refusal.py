"""Why the chip cannot run a configuration: an accumulator overflows, or a requantize shift is out of its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.simulator.making.infeasible import Infeasible
from search.simulator.program import Overflow

ACCUMULATOR = "accumulator"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why the chip cannot run a configuration.

    Attributes:
        node: User's node.
        what: What is out of range: ``accumulator``, or a field of the requantizer.
        value: Its value.
        low: Smallest value the chip has.
        high: Largest value the chip has.
        message: All this in words.
        nodes: Nodes whose groups have to change.
    """

    node: str
    what: str
    value: int
    low: int
    high: int
    message: str
    nodes: tuple[str, ...]


def out_of_range(error: Infeasible) -> Refusal:
    """Return why a program could not be made."""
    return Refusal(
        node=error.node,
        what=error.what,
        value=error.value,
        low=error.low,
        high=error.high,
        message=str(error),
        nodes=(error.node,),
    )


def overflowed(overflows: Sequence[Overflow]) -> Refusal:
    """Return why accumulators beyond their width keep a program from running; the worst one speaks."""
    worst = max(overflows, key=lambda one: (one.largest / 2.0**one.bits, one.node))
    limit = 2 ** (worst.bits - 1)
    return Refusal(
        node=worst.node,
        what=ACCUMULATOR,
        value=worst.largest,
        low=-limit,
        high=limit - 1,
        message=f"The accumulator of {worst.node} reaches {worst.largest}, beyond {worst.bits} bit "
        f"(at most {limit - 1}). Another precision of this group, or a smaller range of its input, avoids it.",
        nodes=tuple(sorted({one.node for one in overflows})),
    )
