"""Pins: precisions the user fixes for groups chosen by node name, glob, operator type or scope.

A format given to a gemm means what the vendor's files mean: ``int16`` is 16-bit inputs and 8-bit weights, so
``at_least: int16`` asks for ``a16w8`` or more, ``at_most: int16`` for no float. A pair given to another group means
its activation format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from search.errors import PinConflictError, UsageError
from search.graph.network import Group, Network
from search.precision import Format, Precision
from search.spec.suggestion import did_you_mean
from search.targets.module_path import dotted
from search.targets.nearest import as_kind, nearest
from search.targets.rulebook import Rulebook
from search.targets.target import Target

_TYPE_PREFIX = "type:"


class PinLike(Protocol):
    """What a pin has to say; the job spec's pins do. Selectors that are given must all hold."""

    @property
    def match(self) -> str | None:
        """Node name, glob, operator type or scope."""

    @property
    def op_type(self) -> str | None:
        """Operator type or glob of it."""

    @property
    def scope(self) -> str | None:
        """Module scope such as ``head.layers``, or glob of it."""

    @property
    def at_least(self) -> str | None:
        """Lowest precision."""

    @property
    def at_most(self) -> str | None:
        """Highest precision."""

    @property
    def exactly(self) -> str | None:
        """The precision."""

    @property
    def freeze(self) -> bool:
        """Whether exports forbid later changes; alone it fixes what ``all_low`` gives the group."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pin; see ``PinLike``."""

    match: str | None = None
    op_type: str | None = None
    scope: str | None = None
    at_least: str | None = None
    at_most: str | None = None
    exactly: str | None = None
    freeze: bool = False


@dataclass(frozen=True, eq=False)
class PinTable:
    """Pins resolved for one network and target.

    Attributes:
        book: The rules they were checked against.
        allowed: Per group the legal precisions the pins leave, cheapest first.
        reasons: Pinned group to the pins in words.
        pins: Pinned group to its pins.
    """

    book: Rulebook
    allowed: tuple[tuple[Precision, ...], ...]
    reasons: Mapping[int, str]
    pins: Mapping[int, tuple[PinLike, ...]]

    def is_frozen(self, group: int) -> bool:
        """Whether a pin with ``freeze`` names the group."""
        return any(pin.freeze for pin in self.pins.get(group, ()))


def resolve_pins(
    network: Network,
    target: Target,
    pins: Sequence[PinLike],
    *,
    output_precision: Mapping[str, str] | None = None,
) -> PinTable:
    """Return what the pins leave to every group.

    Args:
        network: Groups and tensors.
        target: The chip.
        pins: In any order; several may name one group.
        output_precision: Model output to ``high | int8 | int16``.

    Raises:
        UsageError: If a pin names no group.
        PinConflictError: If a chip rule forbids what a pin asks, or two pins leave nothing.
    """
    book = Rulebook(network, target, output_precision)
    allowed = [list(entry.choices) for entry in book.allowed]
    found: dict[int, tuple[PinLike, ...]] = {}
    for pin in pins:
        for g in select(network, pin):
            left = _narrow(book, g, pin)
            both = [p for p in allowed[g] if p in left]
            if not both:
                others = ", ".join(describe(other) for other in found[g])
                raise PinConflictError(
                    f"Pins contradict each other at group {network.groups[g].name!r}: {describe(pin)} and {others} "
                    "leave no precision. Change or remove one of them."
                )
            allowed[g] = both
            found[g] = (*found.get(g, ()), pin)
    return PinTable(
        book=book,
        allowed=tuple(tuple(left) for left in allowed),
        reasons={g: "pinned by " + ", ".join(describe(pin) for pin in own) for g, own in found.items()},
        pins=found,
    )


def select(network: Network, pin: PinLike) -> tuple[int, ...]:
    """Return the groups a pin names, in order.

    Raises:
        UsageError: If there are none.
    """
    exact = any(pin.match in group.nodes for group in network.groups)
    found = tuple(g for g, group in enumerate(network.groups) if _selects(pin, group, exact=exact))
    if found:
        return found
    given = pin.match or pin.op_type or pin.scope or ""
    nodes = [name for group in network.groups for name in group.nodes]
    types = sorted({group.op_type for group in network.groups})
    scopes = sorted({scope for name in nodes if (scope := dotted(name).rpartition(".")[0])})
    hint = did_you_mean(given.removeprefix(_TYPE_PREFIX), [*nodes, *types, *scopes])
    raise UsageError(
        f"Pin {describe(pin)} names no group{hint}. "
        "Give a node name, a glob, an operator type or a scope of the model; groups are listed by 'bitbudget check'. "
        f"Operator types here: {', '.join(types)}."
    )


def describe(pin: PinLike) -> str:
    """Return the pin in words, for messages."""
    selectors = {"match": pin.match, "op_type": pin.op_type, "scope": pin.scope}
    bounds = {"at_least": pin.at_least, "at_most": pin.at_most, "exactly": pin.exactly}
    words = [f"{name}: {value}" for name, value in {**selectors, **bounds}.items() if value is not None]
    return "{" + ", ".join([*words, "freeze"] if pin.freeze else words) + "}"


def _selects(pin: PinLike, group: Group, *, exact: bool) -> bool:
    if pin.match is not None and not _matches(pin.match, group, exact=exact):
        return False
    if pin.op_type is not None and not fnmatchcase(group.op_type, pin.op_type):
        return False
    return pin.scope is None or any(_in_scope(pin.scope, name) for name in group.nodes)


def _matches(pattern: str, group: Group, *, exact: bool) -> bool:
    """Whether a ``match`` text means the group; a text that is a node's name (``exact``) means that node only."""
    if exact:
        return pattern in group.nodes
    if pattern.startswith(_TYPE_PREFIX):
        return fnmatchcase(group.op_type, pattern.removeprefix(_TYPE_PREFIX))
    if pattern == group.op_type:
        return True
    return any(fnmatchcase(name, pattern) or _in_scope(pattern, name) for name in group.nodes)


def _in_scope(pattern: str, node: str) -> bool:
    path = dotted(node)
    return "." in path and (path.startswith(pattern + ".") or fnmatchcase(path, pattern))


def _narrow(book: Rulebook, group: int, pin: PinLike) -> frozenset[Precision]:
    """Return the legal precisions of a group that satisfy one pin.

    Raises:
        PinConflictError: If there are none, naming the rule that stands against the pin.
    """
    values, legal = book.network.groups[group], book.allowed[group]
    if pin.at_least is None and pin.at_most is None and pin.exactly is None:
        request = book.target.request("low")
        return frozenset({nearest(request.gemm if values.is_gemm else request.other, legal.choices)})
    left = frozenset(p for p in legal.choices if _satisfies(p, pin, is_gemm=values.is_gemm))
    if left:
        return left
    asked = as_kind(Precision(str(pin.exactly or pin.at_least or pin.at_most)), is_gemm=values.is_gemm)
    rule = legal.barred.get(asked) or "; ".join(dict.fromkeys(legal.barred.values())) or "no precision lies between"
    raise PinConflictError(
        f"Pin {describe(pin)} cannot hold for group {values.name!r} ({values.op_type}) on {book.target.name}: {rule}. "
        f"Allowed there: {', '.join(p.value for p in legal.choices)}. Pin something else or another target."
    )


def _satisfies(precision: Precision, pin: PinLike, *, is_gemm: bool) -> bool:
    if pin.exactly is not None and precision is not as_kind(Precision(pin.exactly), is_gemm=is_gemm):
        return False
    if pin.at_least is not None:
        least = as_kind(Precision(pin.at_least), is_gemm=is_gemm)
        if precision.activation < least.activation or precision.weight < least.weight:
            return False
    if pin.at_most is not None:
        activation, weight = _ceiling(Precision(pin.at_most), is_gemm=is_gemm)
        return precision.activation <= activation and precision.weight <= weight
    return True


def _ceiling(precision: Precision, *, is_gemm: bool) -> tuple[Format, Format]:
    """Highest formats of both sides under ``at_most``: a plain format bounds both alike."""
    if is_gemm and not precision.is_pair:
        return precision.activation, precision.activation
    kind = as_kind(precision, is_gemm=is_gemm)
    return kind.activation, kind.weight
