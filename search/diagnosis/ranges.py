"""What calibrated ranges say: too wide for 8 bit, all zero, beyond binary16."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.diagnosis.findings import Finding
from search.graph.network import Network

WIDE = 10.0  # the guide advises against int8 above this
LARGEST_FP16 = 65504.0


def range_findings(network: Network, extremes: Sequence[tuple[float, float] | None]) -> Iterator[Finding]:
    """Findings on the smallest and largest calibrated value of every tensor."""
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
    dead = [name for name, absmax in known if absmax == 0.0]
    if dead:
        yield Finding(
            code="all-zero",
            severity="warning",
            message=f"{len(dead)} tensors were zero on every calibration sample: {', '.join(dead[:5])}.",
            advice="Check that the calibration data covers what the network will see.",
            evidence={"tensors": dead},
        )
