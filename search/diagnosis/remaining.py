"""What is still sensitive where the upper bound misses the goal: the cause of a miss that precision does not cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.precision import Format
from search.records.finding import Finding
from search.sensitivity.points import PointKind
from search.sensitivity.table import Row, Table

SHOWN = 4
SHARE = 0.1  # of the largest row: below it a point does not explain the miss


def remaining_findings(
    tables: Sequence[Table], extremes: Sequence[tuple[float, float] | None], *, float_gemm: bool
) -> Iterator[Finding]:
    """The points that hurt most at the highest precisions of the chip.

    Args:
        tables: Tables of the upper bound.
        extremes: Calibrated smallest and largest value per tensor.
        float_gemm: Whether the chip can run a gemm in fp16.
    """
    for table in tables:
        top = table.rows[0].value if table.rows else 0.0
        strong = [row for row in table.rows[:SHOWN] if top and row.value >= SHARE * top]
        if not strong:
            continue
        yield Finding(
            code="still-sensitive-at-highest-precision",
            severity="error",
            message=f"Output {table.output!r}: with every group at the chip's highest precision these points alone "
            "still cost most: " + "; ".join(_described(row, extremes) for row in strong) + ".",
            advice=_advice(strong, float_gemm=float_gemm),
            evidence={
                "output": table.output,
                "base": table.base,
                "rows": [[row.op_name, row.point.kind.value, row.point.fmt.value, row.value] for row in strong],
            },
        )


def _described(row: Row, extremes: Sequence[tuple[float, float] | None]) -> str:
    what = "weights of" if row.point.kind is PointKind.WEIGHT else "output of"
    ends = extremes[row.point.index] if row.point.kind is PointKind.ACTIVATION else None
    span = "" if ends is None else f", range {ends[0]:.4g} to {ends[1]:.4g}"
    return f"{what} {row.op_name!r} in {row.point.fmt.value} ({row.metric} {row.value:.3g}{span})"


def _advice(rows: Sequence[Row], *, float_gemm: bool) -> str:
    integers = any(row.point.fmt in (Format.INT8, Format.INT16) for row in rows)
    if integers and not float_gemm:
        return (
            "A gemm of this chip reads integers only, and one scale per tensor cannot hold channels of so different "
            "size. Rescale the channels between the layers named in the float model (the function stays the same), or "
            "add a normalization between them."
        )
    return "Check the ranges of these points and the calibration data; where they are right, retrain with quantization."
