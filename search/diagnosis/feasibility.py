"""What is said when nothing that was tried can run on the chip, or nothing was tried to the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.evaluation.refusal import Refusal
from search.records.finding import Finding

SHOWN = 3


def nothing_runs_findings(trials: Sequence[Refusal | None]) -> Iterator[Finding]:
    """One finding if there were trials and the chip can run none of them.

    Args:
        trials: Per trial, why the chip cannot run it; None if it can.
    """
    failed = [why for why in trials if why is not None]
    if not failed or len(failed) < len(trials):
        return
    by_node = {(why.node, why.what): why.message for why in failed}
    told = list(by_node.values())
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    said = " ".join(told[:SHOWN]) + more
    yield Finding(
        code="nothing-feasible",
        severity="error",
        message=f"None of the {len(trials)} settings that were tried can run on the chip: {said}",
        advice="1. Quantize again with another calibration set. 2. Train with quantization (QAT, the vendor's Finetune "
        "library), so that the weights change, and quantize again.",
        evidence={"nodes": sorted({node for node, _ in by_node}), "trials": len(trials)},
    )


def nothing_complete_findings(trials: Sequence[Refusal | None]) -> Iterator[Finding]:
    """One finding for a study that ended before any assignment was measured on all samples.

    Args:
        trials: Those that were begun, as above; none that the chip can run is complete.
    """
    if trials and all(why is not None for why in trials):
        return
    yield Finding(
        code="nothing-complete",
        severity="error",
        message="The study was stopped before one assignment was measured on all samples: it has no answer, and "
        "nothing is delivered.",
        advice="Give it more time (--max-seconds) or evaluations, or fewer samples; run again with the same --out, it "
        "goes on where it was stopped.",
        evidence={"trials": len(trials)},
    )
