"""What the delivered files cannot say of what was measured, and to which of two ways to the chip that belongs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from search.deployment.gap import Gap
from search.records.finding import Finding
from search.records.missing import Missing

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


def missing_findings(missing: Iterable[Missing]) -> Iterator[Finding]:
    """One finding per file, or step of delivering, that could not be made.

    Args:
        missing: What failed.
    """
    for one in missing:
        what = _STEPS.get(one.what, f"{one.what} is not delivered")
        yield Finding(
            code="not-delivered",
            severity="error" if one.is_fault or one.what == "recheck" else "warning",
            message=f"{what}: {one.why.rstrip('.')}.",
            advice="The answer of the search and the other files stand."
            if one.what != "recheck"
            else "Vendor files were written, but nothing proves the exported model: see the reason and search again.",
            evidence={"what": one.what, "why": one.why, "is_fault": one.is_fault},
        )


_STEPS = {
    "recheck": "The exported model could not be proven, so model.qdq.onnx is not delivered and no goal counts as met",
    "confirm": "The exported model could not be run on the confirmation samples",
    "unoptimized": "The exported model could not be run without optimizations",
    "export": "No vendor file could be written",
    "profile": "Float and quantized could not be compared layer by layer, so layers.csv and layers.json are missing",
    "layers": "Intermediate results could not be written",
}


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
