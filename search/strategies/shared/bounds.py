"""Assignments that are known before anything was measured: the bounds, and the cheapest there is.

Lower precision is not always cheaper: on a processor an operator may be faster in float, and a group that cannot run
low makes its neighbours pay for casts. So the cheapest assignment is worked out by the cost model, over all groups at
once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search.assignment import Assignment
from search.strategies.shared.attenuation import ChoiceSpace, NoiseAttenuation
from search.strategies.shared.lp_relaxation import LpRelaxation, raised
from search.strategies.shared.session import TrialSession
from search.targets.legalise import uniform

TOLERANCE = 1e-9  # of a cost: sums of the same terms in another order
LEVELS: tuple[Literal["low"], Literal["high"]] = ("low", "high")


@dataclass(frozen=True)
class Bound:
    """An assignment that no measurement led to.

    Attributes:
        assignment: Effective, after chip rules and pins.
        stage: Its name in the record.
    """

    assignment: Assignment
    stage: str


def bounds_of(session: TrialSession) -> tuple[Bound, ...]:
    """Return all_low, all_high and, where it is another one, the cheapest of all."""
    setting = session.setting
    network, target = setting.network, setting.target
    low, high = (setting.legaliser.legalise(uniform(network, target, level)).effective for level in LEVELS)
    found = {low.digest: Bound(low, "all low")}
    found.setdefault(high.digest, Bound(high, "all high"))
    cheapest = cheapest_of_all(session, low)
    found.setdefault(cheapest.digest, Bound(cheapest, "cheapest"))
    return tuple(found.values())


def cheapest_of_all(session: TrialSession, base: Assignment) -> Assignment:
    """Return the cheapest assignment that is nowhere below ``base``, whatever its accuracy.

    The linear program gives a whole solution but for few groups, and single changes improve on it: where many tensors
    have very many readers, something cheaper may exist.
    """
    setting = session.setting
    choices = tuple(
        tuple(p for p in raised(allowed, own) if (g, p) not in session.infeasible.found) or (own,)
        for g, (allowed, own) in enumerate(zip(setting.pins.allowed, base.precisions, strict=True))
    )
    cost = setting.cost.index(base)
    if setting.cost.least_index(choices) >= cost * (1.0 - TOLERANCE):
        return base
    options = ChoiceSpace(setting.book, base, choices)
    found = LpRelaxation(NoiseAttenuation(options, ()), setting.cost).cheapest()
    return base if found is None or setting.cost.index(found) >= cost * (1.0 - TOLERANCE) else found
