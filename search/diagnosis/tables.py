"""What sensitivity tables say: a tail that is not near zero, an uncertain order, gemms sensitive on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from search.graph.network import Network, SlotKind
from search.records.finding import Finding
from search.sensitivity.points import PointKind
from search.sensitivity.table import Row, Table

TAIL_SHARE = 0.1  # of the rows
TAIL_LIMIT = 0.25  # of the largest value
STRONG = 0.1  # of the largest value
UNCERTAIN = 0.9  # estimated rank correlation with the order from all samples


def tail_findings(tables: Sequence[Table]) -> Iterator[Finding]:
    """A table whose last rows are still large."""
    for table in tables:
        if len(table.rows) < 10 or not table.rows[0].value:
            continue
        tail = table.rows[-max(1, int(len(table.rows) * TAIL_SHARE)) :]
        share = min(row.value for row in tail) / table.rows[0].value
        if share > TAIL_LIMIT:
            yield Finding(
                code="tail-not-near-zero",
                severity="warning",
                message=f"On output {table.output!r} ({table.base}) even the least sensitive point reaches "
                f"{share:.0%} of the largest error: the ranking says little.",
                advice="Check that post-processing whose result jumps (NMS, sorting, thresholds) is not in the model.",
                evidence={"output": table.output, "base": table.base, "share": share},
            )


def order_findings(tables: Sequence[Table]) -> Iterator[Finding]:
    """A table whose points more samples would put into another order."""
    for table in tables:
        if table.agreement is None or table.agreement >= UNCERTAIN:
            continue
        n = max(row.samples for row in table.rows)
        yield Finding(
            code="order-uncertain",
            severity="note",
            message=f"On output {table.output!r} ({table.base}) the order of the points is uncertain: its rank "
            f"correlation with the order from all samples is estimated at {table.agreement:.2f}, from {n} samples.",
            advice="Read neighbours in the table as equals. More evaluation samples allow more for the ranking; the "
            "answer itself is evaluated, not taken from the table.",
            evidence={"output": table.output, "base": table.base, "agreement": table.agreement, "samples": n},
        )


def both_sides_findings(network: Network, tables: Sequence[Table], *, is_missed: bool) -> Iterator[Finding]:
    """Gemms whose activation and weight rows are both strong where all-int16 misses the goal.

    Args:
        network: Groups and tensors.
        tables: All tables; the first base is all-int16 in this case.
        is_missed: Whether the upper bound misses the goal.
    """
    if not is_missed or not tables:
        return
    first = [table for table in tables if table.base == tables[0].base]
    for table in first:
        top = table.rows[0].value if table.rows else 0.0
        strong = [row for row in table.rows if top and row.value >= STRONG * top]
        weights = {network.constants[r.point.index].group: r for r in strong if r.point.kind is PointKind.WEIGHT}
        for group, activation in _readers(network, strong):
            if group in weights:
                yield _both(network, table, group, activation, weights[group])


def _readers(network: Network, rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    for row in rows:
        if row.point.kind is PointKind.ACTIVATION:
            for group, slot in network.readers[row.point.index]:
                if network.groups[group].inputs[slot].kind is SlotKind.ACTIVATION:
                    yield group, row


def _both(network: Network, table: Table, group: int, activation: Row, weight: Row) -> Finding:
    name = network.groups[group].name
    return Finding(
        code="both-sides-sensitive",
        severity="warning",
        message=f"{name!r} is sensitive on both sides on output {table.output!r}: activation {activation.value:.4g} "
        f"(rank {activation.rank}), weights {weight.value:.4g} (rank {weight.rank}).",
        advice="Dual int16 (toolchain 3.2.0 or later on J6E/M) or fp16 solves it here; in training, make one side "
        "friendlier: more weight decay, or a normalization in front.",
        evidence={"node": name, "activation": activation.value, "weight": weight.value, "output": table.output},
    )
