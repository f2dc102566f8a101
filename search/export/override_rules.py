"""What a map of tensor overrides must look like before ONNX Runtime's quantizer takes it.

Per tensor a list of dicts: one for per-tensor, one per channel for per-channel quantization. Rules:

1. ``scale`` and ``zero_point`` come together, ``rmin`` and ``rmax`` come together.
2. A dict with ``scale`` or ``rmin`` has neither ``symmetric`` nor ``reduce_range``, and not both of the two pairs.
3. ``convert`` has a ``quant_type`` other than that of the tensor, and is never given for an initializer.
4. Only initializers are per channel; all channels share type and axis and give the same keys.
5. ``reduce_range`` is for initializers only.

The runtime itself checks only the first tensor of the map; here every tensor is checked.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from search.errors import UsageError
from search.export.ort_types import OrtType, parse_ort_type

OVERRIDE_KEYS = frozenset(
    {"quant_type", "scale", "zero_point", "rmin", "rmax", "symmetric", "reduce_range", "axis", "convert"}
)
CONVERT_KEYS = frozenset({"quant_type", "scale", "zero_point", "rmin", "rmax", "symmetric", "recv_nodes"})

Overrides = Mapping[str, Sequence[Mapping[str, Any]]]


def check_overrides(overrides: object, *, default: str, initializers: Collection[str] = ()) -> None:
    """Refuse a map of overrides that breaks a rule.

    Args:
        overrides: Tensor name to list of dicts, types as text.
        default: Type of tensors that state none, e.g. ``QInt8``.
        initializers: Names of the constants of the model.

    Raises:
        UsageError: With tensor, position and rule.
    """
    if not isinstance(overrides, Mapping):
        raise UsageError("Overrides must be a JSON object from tensor name to a list of objects.")
    for tensor, entries in overrides.items():
        where = f"Override of {tensor!r}"
        _check_list(entries, where=where)
        constant = tensor in initializers
        for position, entry in enumerate(entries):
            _check_entry(entry, where=f"{where}, entry {position}", default=default, constant=constant)
        if len(entries) > 1 or "axis" in entries[0]:
            _check_channels(entries, where=where, constant=constant)


def _check_list(entries: object, *, where: str) -> None:
    if not isinstance(entries, list | tuple) or not entries:
        raise UsageError(f"{where}: must be a list with at least one object.")
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise UsageError(f"{where}: each element of the list must be an object, got {type(entry).__name__}.")


def _check_entry(entry: Mapping[str, Any], *, where: str, default: str, constant: bool) -> None:
    _check_keys(entry, allowed=OVERRIDE_KEYS, where=where)
    own = parse_ort_type(entry.get("quant_type", default), where=where)
    _check_range(entry, own, where=where)
    if "reduce_range" in entry and not constant:
        raise UsageError(f"{where}: reduce_range is for constants only; this tensor is computed.")
    if "convert" in entry:
        _check_convert(entry["convert"], own, where=f"{where}, convert", constant=constant)


def _check_convert(convert: object, own: OrtType, *, where: str, constant: bool) -> None:
    if constant:
        raise UsageError(f"{where}: a constant has no reader-side type. Give its quant_type instead.")
    if not isinstance(convert, Mapping) or "quant_type" not in convert:
        raise UsageError(f"{where}: must be an object with a quant_type.")
    _check_keys(convert, allowed=CONVERT_KEYS, where=where)
    other = parse_ort_type(convert["quant_type"], where=where)
    if other == own:
        raise UsageError(f"{where}: quant_type {other.name} is the type the tensor has already. Leave convert out.")
    _check_range(convert, other, where=where)
    nodes = convert.get("recv_nodes", [])
    if isinstance(nodes, str) or not isinstance(nodes, Collection) or not all(isinstance(n, str) for n in nodes):
        raise UsageError(f"{where}: recv_nodes must be a list of node names.")
    if "recv_nodes" in convert and not nodes:
        raise UsageError(f"{where}: recv_nodes is empty. Leave it out to convert for every reader.")


def _check_keys(entry: Mapping[str, Any], *, allowed: frozenset[str], where: str) -> None:
    unknown = sorted(str(key) for key in entry if key not in allowed)
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]!r}. Known: {', '.join(sorted(allowed))}.")


def _check_range(entry: Mapping[str, Any], own: OrtType, *, where: str) -> None:
    for first, second in (("scale", "zero_point"), ("rmin", "rmax")):
        if (first in entry) != (second in entry):
            raise UsageError(f"{where}: {first} and {second} must be given together.")
    if "scale" in entry and "rmin" in entry:
        raise UsageError(f"{where}: give either scale and zero_point or rmin and rmax, not both.")
    stated = "scale" if "scale" in entry else "rmin" if "rmin" in entry else None
    for option in ("symmetric", "reduce_range"):
        if stated and option in entry:
            raise UsageError(f"{where}: {option} has no meaning beside {stated}.")
    if "scale" in entry:
        _check_scale(entry["scale"], entry["zero_point"], own, where=where)
    if "rmin" in entry:
        _check_limits(entry["rmin"], entry["rmax"], where=where)


def _check_scale(scale: object, zero_point: object, own: OrtType, *, where: str) -> None:
    if not _is_number(scale) or not scale > 0:  # type: ignore[operator]
        raise UsageError(f"{where}: scale must be a positive number, got {scale!r}.")
    low, high = own.limits
    if not isinstance(zero_point, int) or isinstance(zero_point, bool) or not low <= zero_point <= high:
        raise UsageError(f"{where}: zero_point must be an integer in {low}..{high}, got {zero_point!r}.")


def _check_limits(rmin: object, rmax: object, *, where: str) -> None:
    if not _is_number(rmin) or not _is_number(rmax) or not rmin < rmax:  # type: ignore[operator]
        raise UsageError(f"{where}: rmin must be a number below rmax, got {rmin!r} and {rmax!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_channels(entries: Sequence[Mapping[str, Any]], *, where: str, constant: bool) -> None:
    if not constant:
        raise UsageError(f"{where}: has one entry per channel, but only constants are quantized per channel.")
    if not isinstance(entries[0].get("axis"), int):
        raise UsageError(f"{where}: has one entry per channel, so the first must name the axis.")
    for position, entry in enumerate(entries[1:], start=1):
        for key in ("quant_type", "axis"):
            if key in entry and entry[key] != entries[0].get(key):
                raise UsageError(f"{where}, entry {position}: {key} differs from that of the first channel.")
        for key in ("scale", "rmin"):
            if (key in entry) != (key in entries[0]):
                raise UsageError(f"{where}, entry {position}: either all channels give {key} or none does.")
