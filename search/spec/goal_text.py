"""The command line's shorthand of a goal: ``top1@logits,labels=labels,max-drop=0.01``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from search.errors import UsageError
from search.spec.goals import Goal
from search.spec.messages import validation_text
from search.spec.suggestion import did_you_mean

_SEPARATOR = re.compile(r",(?![^\[]*\])")
_TEXT_KEYS = ("labels", "ranking")
_NUMBER_KEYS = ("max_drop", "min_value", "min_ratio", "max_increase", "max_value", "percentile")


def parse_goal(text: str) -> dict[str, Any]:
    """Return the spec keys that a goal shorthand sets; the goal itself is checked with the whole spec.

    The metric ends at the first ``@`` of the first part, so an output name may hold anything but a comma, and commas
    inside brackets (``cosine@y[:, 4:],min-value=0.99``).

    Raises:
        UsageError: If a part is not ``key=value``, the key is unknown or given twice, or a number cannot be read.
    """
    head, *parts = _SEPARATOR.split(text)
    metric, at, output = head.strip().partition("@")
    if not metric or (at and not output):
        raise UsageError(
            f"--goal {text!r}: must begin with METRIC or METRIC@OUTPUT, such as 'top1@logits,max-drop=0.01'."
        )
    goal: dict[str, Any] = {"metric": metric}
    if output:
        goal["output"] = output
    for part in parts:
        key, value = _parse_part(part, text)
        if key in goal:
            raise UsageError(f"--goal {text!r}: {key.replace('_', '-')} is given twice.")
        goal[key] = value
    return goal


def _parse_part(part: str, text: str) -> tuple[str, Any]:
    written, equals, value = part.strip().partition("=")
    key = written.strip().replace("-", "_")
    known = [name.replace("_", "-") for name in (*_TEXT_KEYS, *_NUMBER_KEYS)]
    if not equals:
        raise UsageError(f"--goal {text!r}: {part.strip()!r} must read key=value; keys: {', '.join(known)}.")
    if key in _TEXT_KEYS:
        return key, value.strip()
    if key not in _NUMBER_KEYS:
        raise UsageError(
            f"--goal {text!r}: unknown key {written!r}{did_you_mean(written, known)}; keys: {', '.join(known)}."
        )
    try:
        return key, float(value)
    except ValueError:
        raise UsageError(f"--goal {text!r}: {written} must be a number, got {value!r}.") from None


def goal_from(values: Mapping[str, Any], *, where: str) -> Goal:
    """Return the goal with these spec keys.

    Raises:
        UsageError: If the values make no goal; the message begins with ``where``.
    """
    try:
        return Goal.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(validation_text(error, values, where=where, model=Goal)) from None
