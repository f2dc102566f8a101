"""The end of every search: what must have been measured before an answer is given, and which trial is the answer.

1. all_low runs on everything: "what does plain int8 cost?" is answered by a measurement.
2. No bound (all_low, all_high, the cheapest there is) is cheaper than the answer and was never tried.
3. Where nothing meets the goals, the trials closest to them run on everything, until none that was stopped early looks
   closer than the best complete one.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.records.verdict import Verdict
from search.strategies.shared.bounds import Bound, bounds_of
from search.strategies.shared.goals import GoalState, distance
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.tasks import Plan

MOST_COMPLETED = 3  # full evaluations: after a stop, or of trials that miss the goals


def settle(session: TrialSession) -> Plan[None]:
    """Measure what an answer needs, at the natural end of a strategy."""
    low, *_ = bounds = bounds_of(session)
    yield from _complete_low(session, low)
    yield from _try_cheaper(session, bounds)
    if not any(trial.is_met for trial in session.trials):
        yield from _complete_closest(session)


def settle_stopped(session: TrialSession) -> Plan[None]:
    """After a stop: run what was accepted for now on everything, cheapest first, until one meets the goals.

    Where nothing ran in full by then, the trial closest to the goals does: a search with a trial has an answer.
    """
    for _ in range(MOST_COMPLETED):
        met = min((trial.cost for trial in session.trials if trial.is_met), default=float("inf"))
        open_ones = [trial for trial in session.trials if trial.verdict is Verdict.PROMISING and trial.cost < met]
        if not open_ones:
            break
        yield from session.complete(min(open_ones, key=lambda trial: (trial.cost, trial.number)))
    if not any(trial.is_complete for trial in session.trials):
        yield from _complete_closest(session, most=1)


def best_trial(trials: Sequence[Trial], goals: Sequence[GoalState]) -> Trial | None:
    """The cheapest trial that meets every goal; else, among complete ones, the one that misses by least."""
    met = [trial for trial in trials if trial.is_met]
    if met:
        return min(met, key=lambda trial: (trial.cost, trial.number))
    complete = [trial for trial in trials if trial.is_complete]
    return min(complete, key=lambda trial: (_distance(trial, goals), trial.cost, trial.number), default=None)


def _complete_low(session: TrialSession, low: Bound) -> Plan[None]:
    known = next((trial for trial in session.trials if trial.configuration.effective == low.assignment), None)
    if known is None:
        yield from session.evaluate(low.assignment, stage=low.stage, why="what the lowest precisions cost", full=True)
    elif not known.is_complete:
        yield from session.finish(known)


def _try_cheaper(session: TrialSession, bounds: Sequence[Bound]) -> Plan[None]:
    """Evaluate every bound that would be a cheaper answer and was never tried."""
    for bound in bounds:
        best = best_trial(session.trials, session.setting.goals)
        tried = {trial.configuration.effective.digest for trial in session.trials}
        if best is None or not best.is_met or bound.assignment.digest in tried:
            continue
        if session.setting.cost.index(bound.assignment) < best.cost:
            why = "a bound cheaper than the best so far"
            treatment = best.configuration.treatment
            yield from session.evaluate(bound.assignment, stage=bound.stage, why=why, treatment=treatment)


def _complete_closest(session: TrialSession, *, most: int = MOST_COMPLETED) -> Plan[None]:
    """Run trials that were stopped early on everything, the closest one first; one at least, however far away."""
    goals = session.setting.goals
    for _ in range(most):
        reached = min((_distance(trial, goals) for trial in session.trials if trial.is_complete), default=None)
        stopped = [trial for trial in session.trials if not trial.is_complete and trial.infeasible is None]
        closest = min(stopped, key=lambda trial: (_distance(trial, goals), trial.number), default=None)
        if closest is None or (reached is not None and _distance(closest, goals) >= reached):
            return
        done = yield from session.finish(closest)
        if done.is_met:
            return


def _distance(trial: Trial, goals: Sequence[GoalState]) -> float:
    return distance(trial.values, trial.parts, goals)
