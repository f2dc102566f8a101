"""The guide's int8/int16 stage: one common ratio, then each table's own, then heavy groups back from the bottom.

Ratio ``r`` selects the first ``ceil(N * r)`` rows of each whole table; the request promotes the union.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.precision import Format
from search.sensitivity.table import Row, Table
from search.strategies.shared.bisect import fewest, most
from search.strategies.shared.promotion import Promotion
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.tasks import Plan

HEAVY_SHARE = 0.01  # of the compute
WORTH_A_TRIAL = 0.005  # of the cost of all_low: what a group must save to be sent back


@dataclass(frozen=True)
class Base:
    """Where a mix starts: a request that misses the goal, and one above it that meets it.

    Attributes:
        request: Requested assignment at the low end.
        ceiling: A trial that meets the goal.
        tables: Sensitivity of ``request``'s points, one table per output that misses.
        treatment: PromotedNoise in every trial.
        high: Format that selected points get.
        label: For the record.
    """

    request: Assignment
    ceiling: Trial
    tables: Sequence[Table]
    treatment: Treatment
    high: Format
    label: str


def mix(session: TrialSession, base: Base) -> Plan[Trial]:
    """Return the last trial that meets the goal; ``base.ceiling`` if no mix below it does.

    Where a gemm can have 16 bit on one side only, its more sensitive side gets it. If nothing meets the goal so, not
    even all rows, the ratio is sought once more with the activation side everywhere, as all-int16 has it.
    """
    promotion = Promotion(session.setting.book, base.request, base.high)
    sides = promotion.sides(base.tables)
    for chosen_sides in (sides, {}) if "weight" in sides.values() else (sides,):
        found = yield from _Mix(session, base, promotion, chosen_sides).run()
        if found is not None:
            return found
    return base.ceiling


def counts_at(tables: Sequence[Table], j: int, longest: int) -> list[int]:
    """Rows of each table at the common ratio ``j / longest``: ``ceil(N * r)``, in integers."""
    return [-(-len(table.rows) * j // longest) for table in tables]


def rows_at(tables: Sequence[Table], j: int, longest: int) -> list[Row]:
    """Rows of all tables that the common ratio ``j / longest`` selects."""
    return _first_rows(tables, counts_at(tables, j, longest))


def _first_rows(tables: Sequence[Table], counts: Sequence[int]) -> list[Row]:
    return [row for table, count in zip(tables, counts, strict=True) for row in table.first(count)]


@dataclass(frozen=True)
class _Mix:
    """One mix under way."""

    session: TrialSession
    base: Base
    promotion: Promotion
    sides: Mapping[int, str]

    def run(self) -> Plan[Trial | None]:
        """Common ratio, own ratios, heavy groups back; None if not even all rows meet the goal."""
        tables = self.base.tables
        longest = max((len(table.rows) for table in tables), default=0)
        step = yield from fewest(0, longest + 1, lambda j: self.common(j, longest))
        if step > longest:
            return None
        counts = self.counts(step, longest)
        for t in range(len(tables) if len(tables) > 1 else 0):
            counts[t] = yield from self.own(t, counts)
        chosen = yield from self.trial(counts, stage=f"{self.base.label}: ratio", ratio=step / longest)
        return (yield from self.heavy_back(chosen, counts))

    def counts(self, j: int, longest: int) -> list[int]:
        """Rows of each table at the common ratio ``j / longest``: ``ceil(N * r)``, in integers."""
        return counts_at(self.base.tables, j, longest)

    def trial(self, counts: Sequence[int], *, stage: str, ratio: float | None = None) -> Plan[Trial]:
        """Evaluate the union of the first ``counts[t]`` rows of each table."""
        request = self.promotion.request(self.rows(counts))
        return (yield from self._evaluate(request, stage=stage, ratio=ratio, why=f"rows {'+'.join(map(str, counts))}"))

    def rows(self, counts: Sequence[int]) -> list[Row]:
        """Selected rows of all tables."""
        return _first_rows(self.base.tables, counts)

    def common(self, j: int, longest: int) -> Plan[bool]:
        """Whether the common ratio ``j / longest`` meets the goal."""
        trial = yield from self.trial(
            self.counts(j, longest), stage=f"{self.base.label}: common ratio", ratio=j / longest
        )
        return trial.is_met

    def own(self, t: int, counts: Sequence[int]) -> Plan[int]:
        """The smallest count of table ``t`` that meets the goal while the others keep theirs."""
        output = self.base.tables[t].output

        def probe(count: int) -> Plan[bool]:
            tried = [count if i == t else kept for i, kept in enumerate(counts)]
            trial = yield from self.trial(tried, stage=f"{self.base.label}: ratio of {output}")
            return trial.is_met

        return (yield from fewest(-1, counts[t], probe))

    def heavy_back(self, chosen: Trial, counts: Sequence[int]) -> Plan[Trial]:
        """Send compute-heavy groups back, from the bottom of the tables upward, as many as the goal allows."""
        heavy = self._heavy(chosen, counts)
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

    def _heavy(self, chosen: Trial, counts: Sequence[int]) -> list[int]:
        """Promoted groups whose way back saves enough, least sensitive first."""
        network = self.session.setting.network
        request = self.promotion.request(self.rows(counts))
        total = network.total_macs or 1
        rank = self._best_ranks()
        heavy = [
            g
            for g in range(len(network.groups))
            if request[g] is not self.base.request[g]
            and network.groups[g].macs >= HEAVY_SHARE * total
            and self._saving(chosen, g) >= WORTH_A_TRIAL
        ]
        return sorted(heavy, key=lambda g: (-rank[g], g))

    def _best_ranks(self) -> dict[int, int]:
        """Group to the rank of the most sensitive row that concerns it in any table."""
        rank: dict[int, int] = {}
        for table in self.base.tables:
            for row in table.rows:
                for g, _ in self.promotion.concerned(row):
                    rank[g] = min(rank.get(g, row.rank), row.rank)
        return rank

    def _saving(self, chosen: Trial, group: int) -> float:
        """What sending one group back saves, in units of all_low; its way back may cost casts."""
        request = chosen.requested.with_({group: self.base.request[group]})
        setting = self.session.setting
        return chosen.cost - setting.cost.index(setting.legaliser.legalise(request, sides=self.sides).effective)

    def _evaluate(self, request: Assignment, *, stage: str, why: str, ratio: float | None = None) -> Plan[Trial]:
        return (
            yield from self.session.evaluate(
                request, stage=stage, why=why, ratio=ratio, sides=self.sides, treatment=self.base.treatment
            )
        )
