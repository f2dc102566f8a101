"""The findings of the report: what was noticed, the numbers behind it, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.export.report import text


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding: what, where, the numbers behind it, and what to do."""

    code: str
    severity: str
    message: str
    advice: str
    evidence: tuple[tuple[str, str], ...]


def findings(items: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return the findings in the order given; keys beyond the known ones become evidence."""
    return tuple(_finding(item) for item in items)


def _finding(item: Mapping[str, Any]) -> Finding:
    known = {"code", "severity", "message", "text", "advice", "evidence"}
    evidence = item.get("evidence")
    pairs = [(key, value) for key, value in item.items() if key not in known and value not in (None, "", [], {})]
    if isinstance(evidence, Mapping):
        pairs += list(evidence.items())
    elif evidence:
        pairs.append(("evidence", evidence))
    severity = str(item.get("severity", "note"))
    return Finding(
        code=text.clean(item.get("code", "finding")),
        severity=severity if severity in ("error", "warning", "note") else "note",
        message=text.sentence(item.get("message") or item.get("text") or ""),
        advice=text.sentence(item.get("advice") or ""),
        evidence=tuple((text.words(key), _evidence(value)) for key, value in pairs[:12]),
    )


def _evidence(value: Any) -> str:
    number = text.finite(value)
    if number is not None:
        return text.count(value) if isinstance(value, int) else text.figure(number)
    if isinstance(value, Mapping):
        return ", ".join(f"{text.clean(key, 60)} {_evidence(inner)}" for key, inner in list(value.items())[:8])
    if isinstance(value, (list, tuple)):
        shown = ", ".join(text.clean(entry, 60) for entry in value[:8])
        return shown + (f" and {len(value) - 8:,} more" if len(value) > 8 else "")
    return text.sentence(value)
