"""Make a few tensor overrides consistent: every operator reads and writes one type.

An operator beside an overridden tensor (its writer, and each of its readers) takes that tensor's type for all its
inputs and outputs. Where types meet, the tensor between gets a ``convert`` for the readers of the other type. Tensors
that state a ``convert`` themselves are taken as they are and spread nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search.errors import UsageError
from search.export.override_rules import Overrides, check_overrides


@dataclass(frozen=True)
class Wiring:
    """Who writes and who reads each activation, by node name.

    Attributes:
        producers: Tensor to the node that writes it; model inputs are missing or None.
        consumers: Tensor to the nodes that read it, in graph order; an output nobody reads may be missing.
        initializers: Names of constants; overrides of them pass through unchanged.
    """

    producers: Mapping[str, str | None]
    consumers: Mapping[str, tuple[str, ...]]
    initializers: Collection[str] = ()

    @cached_property
    def activations(self) -> tuple[str, ...]:
        """All tensors that are not constants, in the order of ``producers`` and then of ``consumers``."""
        names = dict.fromkeys([*self.producers, *self.consumers])
        return tuple(name for name in names if name not in self.initializers)


def complete_overrides(wiring: Wiring, overrides: Overrides, *, default: str) -> dict[str, list[dict[str, Any]]]:
    """Return overrides in which every operator has one type at all its inputs and outputs.

    Args:
        wiring: The graph.
        overrides: What the user stated; types as text.
        default: Type of every tensor not named, e.g. ``QUInt8``.

    Returns:
        A new map sorted by tensor; the entries given are kept with their other keys. ``recv_nodes`` are sorted lists.

    Raises:
        UsageError: If an entry is invalid, names a tensor the graph does not have, or two entries ask one operator
            or one tensor for different types.
    """
    check_overrides(overrides, default=default, initializers=wiring.initializers)
    _check_known(wiring, overrides)
    types = _node_types(wiring, overrides, default=default)
    completed = {tensor: [dict(entry) for entry in entries] for tensor, entries in overrides.items()}
    for tensor in wiring.activations:
        given = completed.get(tensor, [{}])[0]
        if "convert" in given:
            _check_stated_convert(wiring, tensor, given, types, default=default)
            continue
        entry = _entry_of(wiring, tensor, given, types, default=default)
        if entry is not None:
            completed[tensor] = [entry]
    return dict(sorted(completed.items()))


def _check_known(wiring: Wiring, overrides: Overrides) -> None:
    known = {*wiring.activations, *wiring.initializers}
    for tensor in overrides:
        if tensor not in known:
            raise UsageError(f"Override of {tensor!r}: the model has no tensor of that name.")


def _node_types(wiring: Wiring, overrides: Overrides, *, default: str) -> dict[str, str]:
    """Return the type of each operator that an override reaches."""
    types: dict[str, str] = {}
    asked_by: dict[str, str] = {}
    for tensor, entries in overrides.items():
        stated = str(entries[0].get("quant_type", default)).removeprefix("QuantType.")
        if tensor in wiring.initializers or "convert" in entries[0] or stated == default:
            continue
        for node in (wiring.producers.get(tensor), *wiring.consumers.get(tensor, ())):
            if node is None:
                continue
            if types.setdefault(node, stated) != stated:
                raise UsageError(
                    f"Overrides of {asked_by[node]!r} and {tensor!r} ask node {node!r} for {types[node]} and {stated}. "
                    "Give both tensors one type, or state a convert between them."
                )
            asked_by.setdefault(node, tensor)
    return types


def _entry_of(
    wiring: Wiring, tensor: str, given: Mapping[str, Any], types: Mapping[str, str], *, default: str
) -> dict[str, Any] | None:
    """Return the completed entry of a tensor, or None if nothing needs to be said about it."""
    writer = wiring.producers.get(tensor)
    written = types.get(writer, default) if writer is not None else None
    stated = str(given["quant_type"]).removeprefix("QuantType.") if "quant_type" in given else None
    own = stated or written or default
    if stated and written and stated != written:
        raise UsageError(
            f"Override of {tensor!r} states {stated}, but its writer {writer!r} works in {written} because of another "
            "override. State a convert for one of them."
        )
    foreign = {node: types.get(node, default) for node in wiring.consumers.get(tensor, ())}
    foreign = {node: kind for node, kind in foreign.items() if kind != own}
    if len(set(foreign.values())) > 1:
        raise UsageError(
            f"Readers of {tensor!r} ask for {' and '.join(sorted(set(foreign.values())))} beside {own}, "
            "but a tensor is converted to one other type only."
        )
    if own == default and not foreign and not given:
        return None
    entry: dict[str, Any] = {**given, "quant_type": own}
    if foreign:
        entry["convert"] = {"quant_type": next(iter(foreign.values())), "recv_nodes": sorted(foreign)}
    return entry


def _check_stated_convert(
    wiring: Wiring, tensor: str, given: Mapping[str, Any], types: Mapping[str, str], *, default: str
) -> None:
    """Refuse a stated convert that gives an operator another type than a neighbouring override asks of it."""
    convert = given["convert"]
    readers = wiring.consumers.get(tensor, ())
    receivers = frozenset(convert.get("recv_nodes", readers))
    strangers = sorted(receivers - set(readers))
    if strangers:
        raise UsageError(f"Override of {tensor!r}: recv_nodes names {strangers[0]!r}, which does not read it.")
    for node in readers:
        read = convert["quant_type"] if node in receivers else given.get("quant_type", default)
        if node in types and types[node] != str(read).removeprefix("QuantType."):
            raise UsageError(
                f"Override of {tensor!r} gives node {node!r} the type {read}, "
                f"but another override asks it for {types[node]}."
            )
