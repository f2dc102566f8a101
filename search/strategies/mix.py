"""The guide's int8/int16 stage: one common ratio, then each table's own, then heavy groups back from the bottom.

Ratio ``r`` selects the first ``ceil(N * r)`` rows of each whole table; the request promotes the union.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.precision import Format
from search.sensitivity.table import Row, Table
from search.strategies.bisect import fewest, most
from search.strategies.desk import Desk
from search.strategies.promotion import promote_rows, sensitive_sides
from search.strategies.trial import Trial
from search.tasks import Plan

HEAVY_SHARE = 0.01  # of the compute: lighter groups save too little to spend an evaluation on


@dataclass(frozen=True)
class Base:
    """Where a mix starts: a request that misses the goal, and one above it that meets it.

    Attributes:
        request: Requested assignment at the low end.
        ceiling: A trial that meets the goal.
        tables: Sensitivity of ``request``'s points, one table per output that misses.
        treatment: Kept in every trial.
        high: Format that selected points get.
        label: For the record.
    """

    request: Assignment
    ceiling: Trial
    tables: Sequence[Table]
    treatment: Treatment
    high: Format
    label: str


def mix(desk: Desk, base: Base) -> Plan[Trial]:
    """Return the last trial that meets the goal; ``base.ceiling`` if no mix below it does."""
    search = _Mix(desk, base, sensitive_sides(desk.setting.network, base.tables))
    longest = max((len(table.rows) for table in base.tables), default=0)
    step = yield from fewest(0, longest + 1, lambda j: search.common(j, longest))
    if step > longest:
        return base.ceiling
    counts = [ceil(len(table.rows) * step / longest) for table in base.tables]
    if len(base.tables) > 1:
        for t in range(len(base.tables)):
            counts[t] = yield from search.own(t, counts)
    chosen = yield from search.trial(counts, stage=f"{base.label}: ratio", ratio=step / longest)
    return (yield from search.heavy_back(chosen, counts))


@dataclass(frozen=True)
class _Mix:
    """One mix under way."""

    desk: Desk
    base: Base
    sides: Mapping[int, str]

    def trial(self, counts: Sequence[int], *, stage: str, ratio: float | None = None) -> Plan[Trial]:
        """Evaluate the union of the first ``counts[t]`` rows of each table."""
        request = promote_rows(self.desk.setting.network, self.base.request, self.rows(counts), high=self.base.high)
        return (yield from self._evaluate(request, stage=stage, ratio=ratio, why=f"rows {'+'.join(map(str, counts))}"))

    def rows(self, counts: Sequence[int]) -> list[Row]:
        """Selected rows of all tables."""
        return [row for table, count in zip(self.base.tables, counts, strict=True) for row in table.first(count)]

    def common(self, j: int, longest: int) -> Plan[bool]:
        """Whether the common ratio ``j / longest`` meets the goal."""
        counts = [ceil(len(table.rows) * j / longest) for table in self.base.tables]
        trial = yield from self.trial(counts, stage=f"{self.base.label}: common ratio", ratio=j / longest)
        return trial.is_met

    def own(self, t: int, counts: Sequence[int]) -> Plan[int]:
        """The smallest count of table ``t`` that meets the goal while the others keep theirs."""
        output = self.base.tables[t].output

        def probe(count: int) -> Plan[bool]:
            tried = [count if i == t else kept for i, kept in enumerate(counts)]
            trial = yield from self.trial(tried, stage=f"{self.base.label}: ratio of {output}", ratio=None)
            return trial.is_met

        return (yield from fewest(-1, counts[t], probe))

    def heavy_back(self, chosen: Trial, counts: Sequence[int]) -> Plan[Trial]:
        """Send compute-heavy groups back, from the bottom of the tables upward, as many as the goal allows."""
        heavy = self._heavy(counts)
        last = chosen

        def probe(n: int) -> Plan[bool]:
            nonlocal last
            request = chosen.requested.with_({g: self.base.request[g] for g in heavy[:n]})
            why = f"{n} of {len(heavy)} heavy groups back"
            trial = yield from self._evaluate(request, stage=f"{self.base.label}: heavy groups back", why=why)
            if trial.is_met:
                last = trial
            return trial.is_met

        if heavy:
            yield from most(0, len(heavy) + 1, probe)
        return last

    def _heavy(self, counts: Sequence[int]) -> list[int]:
        """Promoted groups with a share of the compute, least sensitive first."""
        network = self.desk.setting.network
        request = promote_rows(network, self.base.request, self.rows(counts), high=self.base.high)
        promoted = [g for g in range(len(network.groups)) if request[g] is not self.base.request[g]]
        rank = {g: max(len(network.groups), 1) for g in promoted}
        for table in self.base.tables:
            for row in table.rows:
                one = promote_rows(network, self.base.request, [row], high=self.base.high)
                for g in promoted:
                    if one[g] is not self.base.request[g]:
                        rank[g] = min(rank[g], row.rank)
        total = network.total_macs or 1
        heavy = [g for g in promoted if network.groups[g].macs >= HEAVY_SHARE * total]
        return sorted(heavy, key=lambda g: (-rank[g], g))

    def _evaluate(self, request: Assignment, *, stage: str, why: str, ratio: float | None = None) -> Plan[Trial]:
        return (
            yield from self.desk.evaluate(
                request, stage=stage, why=why, ratio=ratio, sides=self.sides, treatment=self.base.treatment
            )
        )
