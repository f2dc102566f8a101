"""``layers.csv``: float against quantized, layer by layer in depth order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search.export.csv_text import Cell, csv_bytes

COLUMNS = (
    *("depth", "op_name", "tensor", "op_type", "group", "precision", "format"),
    *("sqnr_db", "cosine", "rounding_db", "fall_db"),
    *("float_min", "float_max", "quantized_min", "quantized_max"),
    *("scale", "zero_point", "threshold", "clip_low", "clip_high", "clipped_share", "values", "why"),
)
_PAIRS = {"float": ("float_min", "float_max"), "quantized": ("quantized_min", "quantized_max")}
_RENAMED = {"clip": ("clip_low", "clip_high")} | _PAIRS


def layers_csv(layers: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the file: one row per entry of ``layers`` of ``layers.json``."""
    return csv_bytes(COLUMNS, (_cells(layer) for layer in layers))


def _cells(layer: Mapping[str, Any]) -> list[Cell]:
    flat = {"values": layer["n"], "why": layer["reason"]}
    for name, (low, high) in _RENAMED.items():
        ends = layer[name]
        flat |= {low: None if ends is None else ends[0], high: None if ends is None else ends[1]}
    return [flat[name] if name in flat else layer[name] for name in COLUMNS]
