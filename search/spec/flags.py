"""Flags of the command line laid over the values of a spec file: a flag wins.

The flags that shape a goal (``--metric`` with one limit, ``--goal``) replace the file's goals. A limit alone replaces
the limit of the file's only goal, and means top1 where the file has none.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from search.errors import UsageError
from search.spec.goal_text import goal_from, parse_goal
from search.spec.goals import LIMITS
from search.spec.shape_text import parse_shapes

FLAG_KEYS: dict[str, tuple[str, ...]] = {
    "model": ("model",),
    "calibration": ("data", "calibration"),
    "evaluation": ("data", "evaluation"),
    "confirmation": ("data", "confirmation"),
    "target": ("target", "name"),
    "toolchain": ("target", "toolchain"),
    "overrides": ("overrides",),
    "threads": ("run", "threads"),
    "strategy": ("search", "strategy"),
    "evaluator": ("search", "evaluator"),
    "confidence": ("search", "confidence"),
    "max_evaluations": ("search", "max_evaluations"),
    "max_seconds": ("search", "max_seconds"),
    "measure": ("search", "measure"),
    "seed": ("search", "seed"),
    "strict": ("strict",),
    "allow_float": ("allow_float",),
}
GOAL_FLAGS = ("metric", *LIMITS, "goal")
INPUT_FLAGS = ("shape",)
SPEC_FLAGS = (*FLAG_KEYS, *GOAL_FLAGS, *INPUT_FLAGS)
"""Every flag that shapes the spec."""


def merge_flags(spec: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec's values with the flags laid over them; neither argument is changed.

    Args:
        spec: Values of a spec file; empty where there is none.
        flags: Flag name with underscores to value; None means not given. ``goal`` is a list of shorthands,
            ``shape`` one of ``NAME=1x3x640x640``.

    Raises:
        UsageError: If goal flags contradict each other, or a part of the spec that a flag sets is no mapping.
        ValueError: If a flag is unknown here.
    """
    unknown = set(flags) - set(SPEC_FLAGS)
    if unknown:
        raise ValueError(f"Unknown flags {sorted(unknown)}.")
    merged = copy.deepcopy(dict(spec))
    for flag, path in FLAG_KEYS.items():
        if flags.get(flag) is not None:
            _set(merged, path, flags[flag])
    for name, shape in parse_shapes(flags.get("shape") or ()).items():
        _set(merged, ("inputs", name, "shape"), list(shape))
    goals = _goals(merged.get("goal"), flags)
    if goals is not None:
        merged["goal"] = goals
    if flags.get("target") is not None and flags.get("toolchain") is None and _target_name(spec) != flags["target"]:
        merged["target"].pop("toolchain", None)  # the file's version belongs to the file's chip
    return merged


def _target_name(spec: Mapping[str, Any]) -> Any:
    target = spec.get("target")
    return target.get("name") if isinstance(target, Mapping) else None


def _set(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, last = path
    for key in parents:
        inner = values.setdefault(key, {})
        if inner is None:
            inner = values[key] = {}
        if not isinstance(inner, dict):
            raise UsageError(f"spec: {key}: must be a mapping, got {inner!r}.")
        values = inner
    values[last] = value


def _goals(from_file: Any, flags: Mapping[str, Any]) -> list[Any] | None:
    shorthands = [parse_goal(text) for text in flags.get("goal") or ()]
    for text, values in zip(flags.get("goal") or (), shorthands, strict=True):
        goal_from(values, where=f"--goal {text!r}")
    limits: dict[str, Any] = {name: flags[name] for name in LIMITS if flags.get(name) is not None}
    if len(limits) > 1:
        raise UsageError(f"Give one limit for one goal, got {_spelled(limits)}; use --goal for several goals.")
    metric = flags.get("metric")
    if metric is not None:
        name, _, output = str(metric).partition("@")
        values = {"metric": name, **({"output": output} if output else {}), **limits}
        goal_from(values, where=f"--metric {metric}")
        return [values, *shorthands]
    if limits:
        return [_with_limit(from_file, limits), *shorthands]
    return shorthands or None


def _with_limit(from_file: Any, limits: Mapping[str, Any]) -> dict[str, Any]:
    if not from_file:
        values: dict[str, Any] = {"metric": "top1"}
    elif isinstance(from_file, list) and len(from_file) == 1 and isinstance(from_file[0], dict):
        values = {key: value for key, value in from_file[0].items() if key not in LIMITS}
    else:
        raise UsageError(f"The spec has several goals, so {_spelled(limits)} alone is not clear; use --goal for each.")
    values = {**values, **limits}
    goal_from(values, where=_spelled(limits))
    return values


def _spelled(limits: Mapping[str, Any]) -> str:
    return " and ".join(f"--{name.replace('_', '-')}" for name in limits)
