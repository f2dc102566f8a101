"""What calibrated ranges say: too wide for 8 bit, all zero, beyond binary16 or below its steps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from search.graph.network import Network
from search.records.finding import Finding

WIDE = 10.0  # the guide advises against int8 above this
LARGEST_FP16 = 65504.0
SMALLEST_FP16 = 2.0**-14
"""The smallest normal number; what lies below is in steps of ``2**-24``, with fewer bits the smaller it is."""
BEYOND = 0.05  # of the calibrated span: less is the ordinary tail


def range_findings(
    network: Network, extremes: Sequence[tuple[float, float] | None], *, nonfinite: Collection[int] = ()
) -> Iterator[Finding]:
    """Findings on the smallest and largest calibrated value of every tensor.

    Args:
        network: Groups and tensors.
        extremes: Smallest and largest finite value per tensor; None where there was none.
        nonfinite: Tensors that held NaN or infinities.
    """
    known = [
        (tensor.op_name, max(-ends[0], ends[1]))
        for tensor, ends in zip(network.tensors, extremes, strict=True)
        if ends is not None
    ]
    wide = [(name, absmax) for name, absmax in known if WIDE < absmax <= LARGEST_FP16]
    if wide:
        top = sorted(wide, key=lambda pair: -pair[1])[:5]
        yield Finding(
            code="wide-range",
            severity="note",
            message=f"{len(wide)} tensors exceed {WIDE:g} in absolute value, where int8 is coarse: "
            + ", ".join(f"{name} ({absmax:.4g})" for name, absmax in top)
            + ".",
            advice="Expect these among the most sensitive rows.",
            evidence={"tensors": [[name, absmax] for name, absmax in top]},
        )
    beyond = [(name, absmax) for name, absmax in known if absmax > LARGEST_FP16]
    if beyond:
        yield Finding(
            code="beyond-fp16",
            severity="warning",
            message=f"{len(beyond)} tensors exceed binary16 (65504): "
            + ", ".join(f"{name} ({absmax:.4g})" for name, absmax in beyond[:5])
            + ".",
            advice="In fp16 they overflow; integers hold them. Pre-scale where the operators around are linear.",
            evidence={"tensors": [[name, absmax] for name, absmax in beyond]},
        )
    yield from _vanishing(known)
    yield from _unseen(network, extremes, nonfinite)
    dead = [name for name, absmax in known if absmax == 0.0]
    if dead:
        yield Finding(
            code="all-zero",
            severity="warning",
            message=f"{len(dead)} tensors were zero on every calibration sample: {', '.join(dead[:5])}.",
            advice="Check that the calibration data covers what the network will see.",
            evidence={"tensors": dead},
        )


def _unseen(
    network: Network, extremes: Sequence[tuple[float, float] | None], nonfinite: Collection[int]
) -> Iterator[Finding]:
    """Tensors that never held a value."""
    unseen = [network.tensors[t].op_name for t, ends in enumerate(extremes) if ends is None and t not in nonfinite]
    if unseen:
        yield Finding(
            code="unseen-in-calibration",
            severity="warning",
            message=f"{len(unseen)} tensors had no value on any calibration sample (results of NonZero, "
            f"NonMaxSuppression and the like that were always empty): {', '.join(unseen[:5])}. They got the range of "
            "what they are computed from.",
            advice="Add calibration samples on which something is found, or state the ranges under "
            "calibration.overrides.",
            evidence={"tensors": unseen},
        )


def _vanishing(known: Sequence[tuple[str, float]]) -> Iterator[Finding]:
    """Tensors of which binary16 keeps little or nothing."""
    small = sorted(((name, absmax) for name, absmax in known if 0.0 < absmax < SMALLEST_FP16), key=lambda pair: pair[1])
    if small:
        yield Finding(
            code="below-fp16",
            severity="warning",
            message=f"{len(small)} tensors stay below the normal numbers of binary16 (6.1e-05): "
            + ", ".join(f"{name} ({absmax:.4g})" for name, absmax in small[:5])
            + ".",
            advice="In fp16 they lose bits or become 0; integers hold them. Weights of an untrained network, or a "
            "missing normalisation, are common causes.",
            evidence={"tensors": [[name, absmax] for name, absmax in small]},
        )


def clipping_findings(
    network: Network, extremes: Sequence[tuple[float, float] | None], inputs: Mapping[str, Sequence[float]]
) -> Iterator[Finding]:
    """Model inputs that go further in the evaluation data than in calibration: their larger values are clipped.

    Args:
        network: Groups and tensors.
        extremes: Calibrated smallest and largest value per tensor.
        inputs: Model input to its smallest and largest value in the evaluation data.
    """
    for tensor, ends in zip(network.tensors, extremes, strict=True):
        if ends is None or tensor.writer is not None or tensor.name not in inputs:
            continue
        low, high = inputs[tensor.name]
        beyond = max(high - ends[1], ends[0] - low)
        if beyond > BEYOND * (ends[1] - ends[0]):
            yield Finding(
                code="calibration-narrower-than-data",
                severity="warning",
                message=f"Input {tensor.name!r} spans {low:.4g} to {high:.4g} in the evaluation data, but only "
                f"{ends[0]:.4g} to {ends[1]:.4g} in calibration: what lies beyond is clipped, at 16 bit too.",
                advice=f"Calibrate on more samples, or state the range under inputs.{tensor.name}.range.",
                evidence={"input": tensor.name, "evaluation": [low, high], "calibration": list(ends)},
            )
