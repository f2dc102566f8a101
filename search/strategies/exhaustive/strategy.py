"""``exhaustive``: every assignment in the order of its cost; the first that meets the goals is the optimum.

What counts is the distinct effective assignments: the product over groups of the precisions that rules and pins leave
at or above the lowest one. It is the optimum for this evaluation set, this calibration and this cost model; nothing
else is searched. Early rejection leaves each candidate a chance of 1 % to be dropped wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from math import log10, prod

import numpy as np
import numpy.typing as npt

from search.assignment import Assignment
from search.errors import UsageError
from search.evaluation.configuration import Configuration, Treatment
from search.precision import Precision
from search.strategies.shared.batch import ahead
from search.strategies.shared.session import TrialSession
from search.targets.legalise import Legaliser, uniform
from search.targets.pins import PinTable
from search.tasks import Plan

MOST_ASSIGNMENTS = 20_000


def choices_above_low(pins: PinTable) -> tuple[tuple[Precision, ...], ...]:
    """Per group what rules and pins leave that is nowhere below the lowest assignment, cheapest first."""
    book = pins.book
    low = Legaliser(book, pins).legalise(uniform(book.network, book.target, "low")).effective
    return tuple(
        tuple(p for p in allowed if p.activation >= own.activation and p.weight >= own.weight)
        for allowed, own in zip(pins.allowed, low.precisions, strict=True)
    )


def check_countable(pins: PinTable) -> None:
    """Refuse a network that has too many assignments.

    Raises:
        UsageError: With their number.
    """
    count = prod(len(own) for own in choices_above_low(pins))
    if count > MOST_ASSIGNMENTS:
        raise UsageError(
            f"Strategy 'exhaustive' tries every assignment, but there are {_readable(count)}; the limit is "
            f"{MOST_ASSIGNMENTS:,}. Pin more groups, or use another strategy."
        )


def exhaustive(session: TrialSession, *, batch: int = 1) -> Plan[None]:
    """Evaluate assignments, cheapest first, until one meets the goals.

    Args:
        session: The session.
        batch: Candidates evaluated at the same time; all of a batch are trials, also those behind the optimum.

    Raises:
        UsageError: If there are too many.
    """
    setting = session.setting
    check_countable(setting.pins)
    waiting = _by_cost(session)
    while found := list(islice(waiting, batch)):
        runnable = [one for one in found if not session.infeasible.avoid(one)[0]]
        yield from ahead(session, [Configuration(one, setting.calibration, Treatment()) for one in runnable])
        for one in runnable:
            yield from session.evaluate(one, stage="exhaustive", why="next in the order of cost")
        # What takes the place of a candidate that cannot run is dearer: it counts when its turn comes.
        reached = setting.cost.index(found[-1])
        if any(trial.is_met and trial.cost <= reached for trial in session.trials):
            session.minimal = True
            return
    if not any(trial.is_complete for trial in session.trials):
        top = uniform(setting.network, setting.target, "high")
        yield from session.evaluate(top, stage="all high", why="nothing meets the goals", full=True)


def _by_cost(session: TrialSession) -> Iterator[Assignment]:
    """Every assignment, cheapest first; of equal cost, the one with the lower precisions in the earlier groups."""
    setting = session.setting
    rows = _every_row(_places(choices_above_low(setting.pins), setting.cost.choices))
    for i in np.argsort(setting.cost.indices(rows), kind="stable"):
        yield _decode(rows[i], setting.cost.choices)


def _places(own: Sequence[Sequence[Precision]], legal: Sequence[Sequence[Precision]]) -> list[list[int]]:
    return [[every.index(p) for p in some] for some, every in zip(own, legal, strict=True)]


def _every_row(places: Sequence[Sequence[int]]) -> npt.NDArray[np.uint8]:
    """Every combination ``[n, groups]``, the last group fastest; only groups with a choice are enumerated."""
    free = [g for g, own in enumerate(places) if len(own) > 1]
    rows = np.tile(np.array([own[0] for own in places], np.uint8), (prod(len(own) for own in places), 1))
    if free:
        rows[:, free] = list(product(*(places[g] for g in free)))
    return rows


def _decode(row: npt.NDArray[np.uint8], legal: Sequence[Sequence[Precision]]) -> Assignment:
    return Assignment(tuple(every[int(i)] for i, every in zip(row, legal, strict=True)))


def _readable(count: int) -> str:
    return f"{count:,}" if count < 10**9 else f"about 10^{int(log10(count))}"
