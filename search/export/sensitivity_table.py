"""``sensitivity.csv``: one line per point, output and base, most sensitive first within each table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from search.export.csv_text import csv_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityLine:
    """One point alone at the low precision of its base.

    Attributes:
        output: Model output at which the error was measured.
        metric: ``cosine``, ``l1`` or ``atol``.
        base: Precision of everything else, e.g. ``int8``.
        op_name: Node, model input or constant.
        sensitive_type: ``activation`` or ``weight``.
        op_type: Operator, or ``Input``.
        value: The error, or None if it could not be measured.
        dtype: Format the point had.
        flops: Floating-point operations per sample of its group.
        flops_share: ``flops`` as a share of the network, 0..1.
        group: Group identifier, or None for a model input.
        rank: 1 is the most sensitive.
    """

    output: str
    metric: str
    base: str
    op_name: str
    sensitive_type: str
    op_type: str
    value: float | None
    dtype: str
    flops: int
    flops_share: float
    group: str | None
    rank: int


def sensitivity_csv(lines: Iterable[SensitivityLine]) -> bytes:
    """Return the file, sorted by output, base, metric and rank."""
    names = [field.name for field in fields(SensitivityLine)]
    ordered = sorted(lines, key=lambda line: (line.output, line.base, line.metric, line.rank, line.op_name))
    return csv_bytes(names, ([getattr(line, name) for name in names] for line in ordered))
