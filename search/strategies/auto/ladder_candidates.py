"""What the ladder would probe on the same tables: the first rows of each at a common ratio, raised."""

from __future__ import annotations

from collections.abc import Sequence

from search.assignment import Assignment
from search.precision import Format
from search.sensitivity.table import Table
from search.strategies.auto.tuning import DEFAULT, DescentTuning
from search.strategies.ladder.mix import rows_at
from search.strategies.shared.promotion import Promotion
from search.strategies.shared.session import TrialSession


def ladder_candidates(
    session: TrialSession,
    base: Assignment,
    tables: Sequence[Table],
    high: Format,
    tuning: DescentTuning = DEFAULT.descent,
) -> list[Assignment]:
    """Return the effective assignments of the ladder's common ratios, lowest first.

    Args:
        session: The session.
        base: Effective assignment the tables were measured at.
        tables: One per output.
        high: What selected points are raised to.
        tuning: How the steps grow.
    """
    promotion = Promotion(session.setting.book, base, high)
    longest = max((len(table.rows) for table in tables), default=0)
    found: dict[str, Assignment] = {}
    for sides in (promotion.sides(tables), {}):
        for step in _steps(longest, tuning):
            request = promotion.request(rows_at(tables, step, longest))
            effective = session.setting.legaliser.legalise(request, sides=sides).effective
            found.setdefault(effective.digest, effective)
    return list(found.values())


def _steps(longest: int, tuning: DescentTuning) -> list[int]:
    steps, at = [], 1
    while at < longest:
        steps.append(at)
        at = at + 1 if at < tuning.ladder_each else max(at + 1, int(at * tuning.ladder_growth))
    return [*steps, longest] if longest else []
