"""The findings of the report: what was noticed, the numbers behind it, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search.export.report import text
from search.records.finding import Finding


@dataclass(frozen=True, kw_only=True)
class FindingRow:
    """One finding as printed: what, the numbers behind it, and what to do."""

    code: str
    severity: str
    message: str
    advice: str
    evidence: tuple[tuple[str, str], ...]


def finding_rows(findings: Iterable[Finding]) -> tuple[FindingRow, ...]:
    """Return the printed findings in the order given."""
    return tuple(
        FindingRow(
            code=text.clean(finding.code),
            severity=finding.severity,
            message=text.sentence(finding.message),
            advice=text.sentence(finding.advice),
            evidence=tuple(
                (text.words(key), _evidence(value))
                for key, value in list(finding.evidence.items())[:12]
                if value not in (None, "", [], {})
            ),
        )
        for finding in findings
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
