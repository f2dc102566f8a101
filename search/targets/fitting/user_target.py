"""A fitted target as a TOML file on top of the one it was fitted from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from search.targets.fitting.rates import Slowness, cost_tables
from search.targets.settings import Fit
from search.targets.target import Target

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def target_toml(target: Target, extends: str, name: str, found: Mapping[str, Slowness], fit: Fit) -> str:
    """Return the text of the file.

    Args:
        target: What was fitted.
        extends: Its name, or its path relative to the new file.
        name: Name of the new target.
        found: Fitted coefficients.
        fit: How good they are.
    """
    lines = [
        f"# Cost coefficients of {target.name}, fitted to {fit.measurements} measurements. See docs/targets.md.",
        f"extends = {_value(extends)}",
        f"name = {_value(name)}",
        f"title = {_value(f'{target.title} (fitted)')}",
    ]
    if target.toolchain is not None:
        lines.append(f"toolchain_default = {_value(target.toolchain)}")
    lines += _tables(("cost",), cost_tables(target, found, fit))
    return "\n".join(lines) + "\n"


def _tables(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a table: leaves first, coefficients inline, then the tables below."""
    leaves = {key: value for key, value in table.items() if not isinstance(value, dict) or "value" in value}
    if leaves:
        yield f"\n[{'.'.join(_key(part) for part in path)}]"
        for key, value in leaves.items():
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if key not in leaves:
            yield from _tables((*path, key), value)


def _key(text: str) -> str:
    return text if text and set(text) <= _BARE else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
