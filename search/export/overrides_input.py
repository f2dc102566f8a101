"""Read a file of ONNX Runtime tensor overrides (``--overrides FILE``) as pins on tensors.

Accepted: the plain map ``{tensor: [{"quant_type": ...}]}``, and our own ``ort_overrides.json``, which keeps that map
under ``overrides``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.errors import UsageError
from search.export.ort_types import parse_ort_type
from search.export.override_rules import Overrides, check_overrides
from search.precision import Format

SCHEMA = "bitbudget.ort_overrides/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPin:
    """A format that a user states for one tensor.

    Attributes:
        tensor: Name of the activation or constant.
        format: int8 or int16.
        signed: Whether the stated type is signed; zero points are meant in it.
        at_readers: Whether the pin is about how the tensor is read (a ``convert``) instead of how it is stored.
        readers: Nodes the pin is about; None means all.
        scales: Stated scales, one or one per channel; empty where none are stated.
        zero_points: As many integers.
        limits: Stated ``(rmin, rmax)``, or None.
    """

    tensor: str
    format: Format
    signed: bool = True
    at_readers: bool = False
    readers: tuple[str, ...] | None = None
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    limits: tuple[float, float] | None = None


def parse_overrides(text: str | bytes) -> Overrides:
    """Return the map of overrides in a JSON text; ``check_overrides`` is still to be called.

    Raises:
        UsageError: If the text is not JSON, or not an object of lists.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"The overrides file is not JSON: {error}.") from error
    return overrides_of(value)


def overrides_of(value: object) -> Overrides:
    """Return the map of overrides in the JSON value of a file.

    Raises:
        UsageError: If it is not an object of lists, or of another schema.
    """
    if isinstance(value, dict) and isinstance(value.get("schema"), str):
        if value["schema"] != SCHEMA:
            raise UsageError(f"The overrides file has schema {value['schema']!r}; this version reads {SCHEMA!r}.")
        value = value.get("overrides")
    if not isinstance(value, dict):
        raise UsageError("The overrides file must hold a JSON object from tensor name to a list of objects.")
    return value


def pins_from_overrides(
    overrides: Overrides, *, default: str, initializers: Collection[str] = ()
) -> tuple[TensorPin, ...]:
    """Turn overrides into pins, two for a tensor with a ``convert``, sorted by tensor.

    Args:
        overrides: Tensor to its entries, types as text.
        default: Type of entries that state none.
        initializers: Names of the constants of the model.

    Raises:
        UsageError: If an entry breaks a rule of ``override_rules``.
    """
    check_overrides(overrides, default=default, initializers=initializers)
    pins: list[TensorPin] = []
    for tensor, entries in sorted(overrides.items()):
        pins.append(_pin(tensor, entries[0], default=default, channels=entries))
        convert = entries[0].get("convert")
        if convert is not None:
            pins.append(_reader_pin(tensor, convert, default=default))
    return tuple(pins)


def _pin(tensor: str, entry: Mapping[str, Any], *, default: str, channels: Sequence[Mapping[str, Any]]) -> TensorPin:
    stated = [channel for channel in channels if "scale" in channel]
    per_tensor_limits = "rmin" in entry and "axis" not in entry
    kind = parse_ort_type(entry.get("quant_type", default), where=f"Override of {tensor!r}")
    return TensorPin(
        tensor=tensor,
        format=kind.format,
        signed=kind.signed,
        scales=tuple(float(channel["scale"]) for channel in stated),
        zero_points=tuple(int(channel["zero_point"]) for channel in stated),
        limits=(float(entry["rmin"]), float(entry["rmax"])) if per_tensor_limits else None,
    )


def _reader_pin(tensor: str, convert: Mapping[str, Any], *, default: str) -> TensorPin:
    receivers = convert.get("recv_nodes")
    return replace(
        _pin(tensor, convert, default=default, channels=[convert]),
        at_readers=True,
        readers=tuple(sorted(receivers)) if receivers is not None else None,
    )
