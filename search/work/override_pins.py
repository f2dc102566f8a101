"""Tensor overrides as pins on groups and as stated scales.

A tensor at int16 asks its readers for 16 bit on the side they read it with, and its writer where that writes its own
type only. Readers on the other side of a ``convert`` are asked for the type of the ``convert``. A constant at int16
asks its group for 16-bit weights. A group whose nodes the file leaves out of quantization is asked for float. What the
file states at 8 bit asks for nothing: the search may go higher, never lower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search.canonical import Json
from search.errors import PinConflictError, UsageError
from search.export.overrides_input import TensorPin, overrides_of, pins_from_overrides
from search.graph.network import Network, OpClass, SlotKind
from search.precision import Format, Precision
from search.quant.grid import ScaleRule
from search.spec.job import Pin
from search.spec.suggestion import did_you_mean
from search.targets.pins import resolve_pins
from search.targets.placement import stored_format
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from search.work.loaded import Loaded


@dataclass(frozen=True)
class Place:
    """What a tensor of the file is in the network: a tensor, or constants of one name."""

    tensor: int | None = None
    constants: tuple[int, ...] = ()


Places = Mapping[str, Place]
"""Tensor of the file to its place, from ``locate``."""


@dataclass(frozen=True, eq=False)
class Stated:
    """What a file of overrides says about one network on one target.

    Attributes:
        pins: Precisions that are asked for, without repetition.
        scales: ``(tensor, bits)`` to scale and zero point, the latter in the target's integer type.
        ranges: Tensor to its stated range.
        weights: ``(constant, bits)`` to scales and zero points, one of each per channel or one altogether.
    """

    pins: tuple[Pin, ...] = ()
    scales: Mapping[tuple[int, int], tuple[float, int]] = field(default_factory=dict)
    ranges: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    weights: Mapping[tuple[int, int], tuple[tuple[float, ...], tuple[int, ...]]] = field(default_factory=dict)


def locate(document: Mapping[str, Json], loaded: Loaded) -> dict[str, Place]:
    """Find every tensor of a file of overrides in the prepared model, by its name there or in the user's file.

    Raises:
        UsageError: If the model has no such tensor, or it is none that is quantized.
    """
    return {name: _place(name, loaded) for name in sorted(overrides_of(document))}


def translate(document: Mapping[str, Json], network: Network, target: Target, places: Places) -> Stated:
    """Turn a file of overrides into pins and scales.

    Raises:
        UsageError: If an entry breaks a rule of the format, or states a zero point the target does not have.
        PinConflictError: If a rule of the target forbids what a tensor asks for; names tensor and rule.
    """
    rule = ScaleRule(target.activation_rule)
    default = "QInt8" if rule.signed else "QUInt8"
    constants = [name for name, place in places.items() if place.constants]
    found = pins_from_overrides(overrides_of(document), default=default, initializers=constants)
    converted = {pin.tensor: pin for pin in found if pin.at_readers}
    pins: dict[str, Pin] = {}
    book = Rulebook(network, target)
    for one in found:
        for pin in _pins(book, one, places[one.tensor], converted.get(one.tensor)):
            _check(network, target, pin, f"Override of {one.tensor!r}")
            pins[pin.model_dump_json()] = pin
    for pin in _float_pins(document, book):
        _check(network, target, pin, "'nodes_to_exclude' of the overrides")
        pins[pin.model_dump_json()] = pin
    activations = [(one, tensor) for one in found if (tensor := places[one.tensor].tensor) is not None]
    return Stated(
        pins=tuple(pins.values()),
        scales={
            (tensor, one.format.bits): (_as_float32(one.scales)[0], _zero_points(one, rule)[0])
            for one, tensor in activations
            if one.scales and network.tensors[tensor].integer_input is None  # integers keep their own grid
        },
        ranges={tensor: one.limits for one, tensor in activations if one.limits is not None},
        weights=_weights(found, network, target, places),
    )


def _place(name: str, loaded: Loaded) -> Place:
    network, tensor_of = loaded.structure.network, loaded.structure.tensor_of
    for known in (name, loaded.value_names.get(name, name)):
        if known in tensor_of:
            return Place(tensor_of[known])
        constants = [c for c, constant in enumerate(network.constants) if constant.name == known]
        if constants:
            return Place(constants=tuple(constants))
    raise UsageError(f"Override of {name!r}: {_why_not(name, loaded)}")


def _why_not(name: str, loaded: Loaded) -> str:
    network = loaded.structure.network
    writer = next((node.name for node in loaded.template.model.graph.node if name in node.output), None)
    group = loaded.template.group_of.get(writer or "")
    if group is not None:
        outputs = " or ".join(repr(network.tensors[t].name) for t in network.groups[group].outputs)
        return f"it lies inside group {network.groups[group].name!r} and is never quantized; name {outputs} instead."
    known = {value for node in loaded.user.proto.graph.node for value in (*node.input, *node.output)}
    if name in known:
        return "the model has it, but it is no quantized activation or weight; leave it out."
    near = did_you_mean(name, [*loaded.structure.tensor_of, *(constant.name for constant in network.constants)])
    return f"the model has no tensor of that name{near}."


def _pins(book: Rulebook, one: TensorPin, place: Place, convert: TensorPin | None) -> Iterator[Pin]:
    """Pins of one stated format; int8 asks for nothing."""
    if one.format is not Format.INT16:
        return
    network = book.network
    for c in place.constants:
        yield _at_least(network, network.constants[c].group, "weight")
    tensor = place.tensor
    if tensor is None:
        return
    for g, s in network.readers[tensor]:
        group = network.groups[g]
        if _is_meant(one, convert, group.inputs[s].node) and group.op_class is not OpClass.FLOAT:
            side = "weight" if group.inputs[s].kind is SlotKind.SECOND else "activation"
            if group.inputs[s].kind is not SlotKind.SUM_IN:
                yield _at_least(network, g, side)
    writer = network.tensors[tensor].writer
    if writer is not None and not one.at_readers and not _writes_int16(book, writer):
        yield _at_least(network, writer, "activation")


def _is_meant(one: TensorPin, convert: TensorPin | None, node: str) -> bool:
    """Whether a reader takes the tensor in the format of ``one``: behind the ``convert``, or before it."""
    behind = convert is not None and (convert.readers is None or node in convert.readers)
    return behind if one.at_readers else not behind


def _writes_int16(book: Rulebook, group: int) -> bool:
    """Whether a group can store int16 at its lowest precision."""
    if book.network.groups[group].op_class is OpClass.FLOAT:
        return True
    lowest = book.allowed[group].choices[0]
    return stored_format(book.caps(group, lowest), (Format.INT16,)) >= Format.INT16


def _at_least(network: Network, group: int, side: str) -> Pin:
    if not network.groups[group].is_gemm:
        return Pin(match=network.groups[group].name, at_least="int16")
    return Pin(match=network.groups[group].name, at_least="a16w8" if side == "activation" else "a8w16")


def _float_pins(document: Mapping[str, Json], book: Rulebook) -> Iterator[Pin]:
    """Pins of groups that our own file leaves out of quantization."""
    meta = document.get("meta") if isinstance(document.get("schema"), str) else None
    named = meta.get("nodes_to_exclude") if isinstance(meta, Mapping) else None
    left_out = {str(one) for one in named} if isinstance(named, Sequence) else set()
    for group in book.network.groups:
        if group.name in left_out and group.op_class is not OpClass.FLOAT:
            yield Pin(match=group.name, at_least=Precision.FP16.value)


def _check(network: Network, target: Target, pin: Pin, where: str) -> None:
    try:
        resolve_pins(network, target, [pin])
    except PinConflictError as error:
        raise PinConflictError(f"{where}: {error}") from None


def _weights(
    found: Iterable[TensorPin], network: Network, target: Target, places: Places
) -> dict[tuple[int, int], tuple[tuple[float, ...], tuple[int, ...]]]:
    """Stated scales of constants.

    Raises:
        UsageError: If there are not as many as the constant has channels.
    """
    rule = ScaleRule(target.weight_rule)
    stated = {}
    for one in found:
        for c in places[one.tensor].constants if one.scales else ():
            constant = network.constants[c]
            channels = 1 if constant.axis is None else constant.shape[constant.axis]
            if len(one.scales) not in (1, channels):
                raise UsageError(
                    f"Override of {one.tensor!r}: states {len(one.scales)} scales, but the constant has {channels} "
                    f"channels on axis {constant.axis}. Give one per channel, or one altogether."
                )
            stated[c, one.format.bits] = (_as_float32(one.scales), _zero_points(one, rule))
    return stated


def _as_float32(scales: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(np.float32(scale)) for scale in scales)


def _zero_points(one: TensorPin, rule: ScaleRule) -> tuple[int, ...]:
    """Stated zero points in the target's type: unsigned ``q`` and signed ``q - 2**(bits-1)`` are one grid."""
    offset = 1 << (one.format.bits - 1)
    shift = 0 if one.signed == rule.signed else (offset if one.signed else -offset)
    found = tuple(zero_point + shift for zero_point in one.zero_points)
    if rule.symmetric and any(found):
        raise UsageError(
            f"Override of {one.tensor!r}: zero_point {one.zero_points[0]} makes no symmetric grid, and the target has "
            "no zero points. Leave scale and zero_point out, or give rmin and rmax."
        )
    return found
