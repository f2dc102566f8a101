"""What the delivered files cannot say of what was measured, and to which of two ways to the chip that belongs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.deployment.gap import Gap
from search.records.finding import Finding

_LISTED = 5


def gap_findings(gaps: Sequence[Gap]) -> Iterator[Finding]:
    """One finding per file and kind of decision that the file does not carry.

    Args:
        gaps: The decisions.
    """
    for gap in gaps:
        subjects = list(gap.subjects)
        more = f" and {len(subjects) - _LISTED} more" if len(subjects) > _LISTED else ""
        listed = f": {', '.join(subjects[:_LISTED])}{more}" if subjects else ""
        yield Finding(
            code="not-in-file",
            severity="note",
            message=f"{gap.file}: {gap.effect}{listed}.",
            advice="deploy.json holds every decision; docs/results.md says what each file can carry.",
            evidence={"file": gap.file, "decision": gap.decision, "subjects": subjects},
        )


def route_findings(command: str | None, *, other: str | None) -> Iterator[Finding]:
    """One finding where a vendor's own calibration does not lead to what was measured.

    Args:
        command: The file whose run gives the network that was measured.
        other: A file that calibrates anew instead, by a method that was not measured; None where there is none.
    """
    if command is not None and other is not None:
        yield Finding(
            code="only-loaded-scales",
            severity="warning",
            message=f"The accuracy belongs to {command}, which loads the thresholds of the search. {other} calibrates "
            "anew, by a method of the tool that was not measured.",
            advice=f"Run {command}, or search with what the tool has: calibration.methods: [min_max, percentile, kl].",
            evidence={"command": command, "other": other},
        )
