"""Coefficients of a target by path, as seconds per unit of work, and a copy of the target with other ones.

A path is the key below ``[cost]``: ``bytes_per_s``, ``relative_rate.a8w8``, ``elements_per_s.lut.int8``. Relative
rates count in units of ``peak_macs_per_s * utilization``, which a fit leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search.targets.settings import Fit
from search.targets.target import Target
from search.targets.work import unit_rate

_TRUST = ("vendor", "measured", "assumed")
DIGITS = 4  # of a fitted rate: more than any fit is worth
_OF_UNIT = ("relative_rate", "kernel_rate", "unfused_rate")


@dataclass(frozen=True, slots=True)
class Slowness:
    """A fitted coefficient.

    Attributes:
        seconds: Per unit of work; its rate is the inverse.
        is_measured: Whether the measurements say more about it than what was known before.
    """

    seconds: float
    is_measured: bool


def known_seconds(target: Target, path: str) -> float | None:
    """Return seconds per unit of work of a coefficient, None if the target does not have it."""
    entry: Any = target.to_json()["cost"]
    for key in path.split("."):
        entry = entry.get(key)
        if entry is None:
            return None
    return float(1.0 / (entry["value"] * _scale(target, path)))


def source_of(target: Target, path: str) -> str | None:
    """Return ``vendor``, ``measured`` or ``assumed``, the weakest of the coefficient and the unit it is relative to."""
    tables = target.to_json()["cost"]
    names = [path, "peak_macs_per_s", "utilization"] if path.partition(".")[0] in _OF_UNIT else [path]
    sources = [_entry(tables, name.split(".")).get("source") for name in names]
    return max((source for source in sources if source is not None), key=_TRUST.index, default=None)


def cost_tables(target: Target, found: Mapping[str, Slowness], fit: Fit | None = None) -> dict[str, Any]:
    """Return the ``[cost]`` tables that differ from those of ``target``, as a TOML value."""
    before = target.to_json()["cost"]
    tables: dict[str, Any] = {}
    for path, slowness in sorted(found.items()):
        entry = _entry(before, path.split("."))
        rate = 1.0 / (slowness.seconds * _scale(target, path))
        value: dict[str, Any] = {"value": float(f"{rate:.{DIGITS}g}")}
        if slowness.is_measured:
            value |= {"source": "measured", "certainty": "U", "note": "fitted"}
        else:
            note = "scaled with the others; the measurements say little about it"
            value |= {"source": entry.get("source", "assumed"), "certainty": entry.get("certainty", "?"), "note": note}
        _put(tables, path.split("."), value)
    if any(path.partition(".")[0] in _OF_UNIT and one.is_measured for path, one in found.items()):
        unit = dict(before["utilization"])
        unit |= {"source": "measured", "certainty": "U", "note": "only a unit: the fitted relative rates contain it"}
        tables["utilization"] = unit
    if fit is not None:
        tables["fit"] = {key: value for key, value in fit.model_dump(mode="json").items() if value is not None}
    return tables


def with_rates(target: Target, found: Mapping[str, Slowness], fit: Fit | None = None) -> Target:
    """Return the target with fitted coefficients."""
    document = target.to_json()
    document["cost"] = _overlay(document["cost"], cost_tables(target, found, fit))
    return Target.from_json(document)


def _scale(target: Target, path: str) -> float:
    return unit_rate(target.cost) if path.partition(".")[0] in _OF_UNIT else 1.0


def _entry(tables: Mapping[str, Any], keys: Iterable[str]) -> Mapping[str, Any]:
    entry: Any = tables
    for key in keys:
        entry = entry.get(key) or {}
    return dict(entry)


def _put(tables: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        tables = tables.setdefault(key, {})
    tables[keys[-1]] = value


def _overlay(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged
