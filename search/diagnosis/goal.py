"""Why a goal was missed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from search.records.finding import Finding


def goal_findings(
    gaps: Mapping[str, tuple[float | None, float, float | None]], *, above: Collection[str], short: Collection[str]
) -> Iterator[Finding]:
    """One finding per missed goal.

    Args:
        gaps: Goal id to value of the delivered trial, requirement, float value.
        above: Goals the float model itself misses.
        short: Goals the delivered trial misses.
    """
    for goal, (value, required, float_value) in gaps.items():
        evidence = {"best": value, "required": required, "float": float_value}
        if goal in above:
            yield Finding(
                code="goal-above-float",
                severity="error",
                message=f"{goal}: the float model itself reaches {float_value:.6g}, the goal asks for {required:.6g}.",
                advice="No precision can reach this. Lower the goal, or check preprocessing and labels.",
                evidence=evidence,
            )
        elif goal in short:
            got = "has no value" if value is None else f"reaches {value:.6g}"
            yield Finding(
                code="goal-missed",
                severity="error",
                message=f"{goal}: what is delivered {got}, the goal asks for {required:.6g}.",
                advice="See the most sensitive rows and the findings on ranges; a looser goal, better calibration data "
                "or quantization-aware training are the next steps.",
                evidence=evidence,
            )
