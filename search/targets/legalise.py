"""The legaliser: from the precisions a search asks for to those the chip will run, with a reason for each change.

Each group is decided by itself: a request the rules or pins forbid becomes the nearest precision they allow
(nearest.py). The result is a fixed point: legalising it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from search.assignment import Assignment
from search.graph.network import Network
from search.precision import Precision
from search.targets.nearest import as_kind, nearest
from search.targets.pins import PinTable
from search.targets.rulebook import Allowed, Rulebook
from search.targets.target import Target

Sides = Mapping[int, str] | Sequence[str]


@dataclass(frozen=True)
class Legal:
    """What the chip runs.

    Attributes:
        effective: Legal precision of every group.
        reasons: Group to why it differs from the request.
    """

    effective: Assignment
    reasons: Mapping[int, str]


def choices(
    network: Network, target: Target, *, output_precision: Mapping[str, str] | None = None
) -> tuple[tuple[Precision, ...], ...]:
    """Return the legal precisions of every group, cheapest first."""
    return tuple(allowed.choices for allowed in Rulebook(network, target, output_precision).allowed)


def uniform(network: Network, target: Target, level: Literal["low", "high"]) -> Assignment:
    """Return the uniform request of a level; ``legalise`` makes ``all_low`` or ``all_high`` of it."""
    request = target.request(level)
    return Assignment(tuple(request.gemm if group.is_gemm else request.other for group in network.groups))


def legalise(
    network: Network,
    target: Target,
    requested: Assignment,
    *,
    sides: Sides | None = None,
    pins: PinTable | None = None,
    output_precision: Mapping[str, str] | None = None,
) -> Legal:
    """Return the effective assignment for ``requested``.

    Args:
        network: Groups and tensors.
        target: The chip.
        requested: One precision per group, of either vocabulary.
        sides: Gemm group (or position) to the side that keeps 16 bit where only one can: ``activation`` (default)
            or ``weight``.
        pins: What ``resolve_pins`` returned; it then knows the output precisions too.
        output_precision: Model output to ``high | int8 | int16``; only without pins.

    Raises:
        ValueError: If ``requested`` does not have one precision per group.
    """
    book = pins.book if pins is not None else Rulebook(network, target, output_precision)
    return Legaliser(book, pins).legalise(requested, sides=sides)


class Legaliser:
    """Legalises many requests under one rulebook and one set of pins; each distinct decision is taken once.

    Args:
        book: The rules laid over the network.
        pins: What ``resolve_pins`` returned for the same network and target.
    """

    def __init__(self, book: Rulebook, pins: PinTable | None = None) -> None:
        self._book = book
        self._pins = pins
        self._known: dict[tuple[int, Precision, str], tuple[Precision, str | None]] = {}

    def legalise(self, requested: Assignment, *, sides: Sides | None = None) -> Legal:
        """As the function ``legalise``."""
        n = len(self._book.network.groups)
        if len(requested) != n:
            raise ValueError(f"{len(requested)} precisions for {n} groups.")
        effective: list[Precision] = []
        reasons: dict[int, str] = {}
        for g, asked in enumerate(requested.precisions):
            key = (g, asked, side_of(sides, g))
            if key not in self._known:
                self._known[key] = self._decide(*key)
            got, reason = self._known[key]
            effective.append(got)
            if reason is not None:
                reasons[g] = reason
        return Legal(Assignment(tuple(effective)), reasons)

    def _decide(self, group: int, asked: Precision, side: str) -> tuple[Precision, str | None]:
        legal = self._book.allowed[group]
        possible = legal.choices if self._pins is None else self._pins.allowed[group]
        wish = as_kind(asked, is_gemm=self._book.network.groups[group].is_gemm)
        got = nearest(wish, possible, side=side)
        if got is not wish:
            return got, _reason(wish, got, legal, side, None if self._pins is None else self._pins.reasons.get(group))
        if got is not asked:
            return got, f"{asked.value} is not a precision of this kind of group; {got.value} is its like"
        return got, None


def side_of(sides: Sides | None, group: int) -> str:
    """Return the side of a group that keeps 16 bit where only one can."""
    if sides is None:
        return "activation"
    return sides.get(group, "activation") if isinstance(sides, Mapping) else sides[group]


def _reason(wish: Precision, got: Precision, legal: Allowed, side: str, pinned: str | None) -> str:
    """Name the rule, the pin, or both, whichever moved the wish."""
    by_rule = legal.barred.get(wish)
    by_pin = pinned if nearest(wish, legal.choices, side=side) is not got else None
    return "; ".join(text for text in (by_rule, by_pin) if text is not None)
