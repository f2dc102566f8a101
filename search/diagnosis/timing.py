"""What the clock said of the finalists, where it differs from what a reader of the costs would expect."""

from __future__ import annotations

from collections.abc import Iterator

from search.records.finding import Finding
from search.records.timing import TimedModel, TimingRecord


def timing_findings(timing: TimingRecord | None, *, floor: float) -> Iterator[Finding]:
    """Say where nothing is faster than float, and where the clock chose another trial than the cost model.

    Args:
        timing: The times; None where nothing was timed.
        floor: Relative difference below which two times are the same.
    """
    if timing is None or timing.chosen is None:
        return
    plain = timing.models[0]
    if timing.chosen * (1.0 + floor) >= plain.milliseconds:
        yield Finding(
            code="not-faster-than-float",
            severity="warning",
            message=f"What is delivered takes {timing.chosen:.4g} ms per sample on this machine, the float model "
            f"{plain.milliseconds:.4g} ms ({_how(timing)}): nothing that meets the goals is faster than float.",
            advice="Leave the model in float for this machine, or loosen the goal; time it where it will run.",
            evidence={"chosen_ms": timing.chosen, "float_ms": plain.milliseconds, "noise": timing.noise},
        )
    if timing.file is not None:
        other = timing.models[-1]
        yield Finding(
            code="dynamic-is-faster",
            severity="warning",
            message=f"Dynamic quantization by ONNX Runtime meets the goals in {other.milliseconds:.4g} ms per sample, "
            f"what is delivered as model.qdq.onnx takes {timing.chosen:.4g} ms ({_how(timing)}).",
            advice=f"Deploy {timing.file}, which lies beside it, on this machine.",
            evidence={"dynamic_ms": other.milliseconds, "chosen_ms": timing.chosen, **other.values},
        )
    if timing.changed_the_answer:
        told = "; ".join(f"{one.name} {one.milliseconds:.4g} ms" for one in _evaluated(timing))
        yield Finding(
            code="clock-decided",
            severity="note",
            message=f"The delivered trial is the fastest on this machine, not the cheapest by estimate: {told} per "
            f"sample ({_how(timing)}).",
            advice="bitbudget measure-cost and calibrate-cost fit the cost model to this machine.",
            evidence={one.name: one.milliseconds for one in timing.models},
        )


def _evaluated(timing: TimingRecord) -> list[TimedModel]:
    return [one for one in timing.models if one.trial is not None]


def _how(timing: TimingRecord) -> str:
    threads = "1 thread" if timing.threads == 1 else f"{timing.threads} threads"
    return f"batch {timing.batch}, {threads}, noise {timing.noise:.1%}"
