"""The sensitivity tables as the lines of ``sensitivity.csv``."""

from __future__ import annotations

from search.export.sensitivity_table import SensitivityLine
from search.sensitivity.points import PointKind
from search.study.plan import Finished


def sensitivity_lines(finished: Finished) -> list[SensitivityLine]:
    """One line per row of every table."""
    return [
        SensitivityLine(
            output=row.output,
            metric=row.metric,
            base=row.base,
            op_name=row.op_name,
            sensitive_type="weight" if row.point.kind is PointKind.WEIGHT else "activation",
            op_type=row.op_type,
            value=row.value,
            dtype=row.point.fmt.value,
            flops=2 * row.macs,
            flops_share=row.share,
            group=None if row.group is None else f"g{row.group}",
            rank=row.rank,
        )
        for table in (finished.session.table_list if finished.session is not None else [])
        for row in table.rows
    ]
