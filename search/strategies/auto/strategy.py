"""``auto``: the cheapest assignment that meets the goals, found with few evaluations.

The lowest assignment first: where it meets the goals and nothing is cheaper, nothing else is evaluated. Else a descent
(descent.py): the points are measured alone, an estimator predicts noise and chance of any assignment, the cheapest
promising ones are evaluated, each result corrects the estimator, and every cheaper change of one group is tried in the
end.

Only where no mix is believed to meet the goals, all_high is evaluated; if it misses, what the ladder does above it
(16 bit on the more sensitive side, fp16 for the worst groups, pre-scales, fixed ranges, fp32), and then the descent on
top of that.
"""

from __future__ import annotations

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.precision import Format, Precision
from search.strategies.auto.descent import Descent
from search.strategies.auto.goal_model import GoalModel
from search.strategies.auto.surrogate import Start, early_stopping_of
from search.strategies.auto.tuning import DEFAULT, AutoTuning
from search.strategies.ladder.strategy import fp16_set, has_float_elementwise, high_format, one_sided
from search.strategies.shared.bounds import cheapest_of_all
from search.strategies.shared.session import TrialSession
from search.strategies.shared.treatments import treat
from search.strategies.shared.trial import Trial
from search.targets.legalise import uniform
from search.tasks import Plan


def auto(session: TrialSession, tuning: AutoTuning = DEFAULT) -> Plan[None]:
    """Run the search; the trials of the session are its result.

    Args:
        session: What evaluates and keeps trials.
        tuning: Every number that the chip, the network and the goals do not give.
    """
    setting = session.setting
    bottom = uniform(setting.network, setting.target, "low")
    session.stopping = early_stopping_of(
        setting, [GoalModel(goal, setting.n_samples, tuning.goal) for goal in setting.goals], tuning
    )
    low = yield from session.evaluate(bottom, stage="all low", why="lower bound", errors=True, provisional=True)
    low = yield from _completed(session, low)
    if low.is_met:
        yield from _below_low(session, tuning, low)
        return
    reached = yield from _descend(session, tuning, low, Treatment(), "mix")
    if reached:
        return
    top = uniform(setting.network, setting.target, "high")
    high = yield from session.evaluate(top, stage="all high", why="no mix is believed to meet the goals", errors=True)
    yield from _above(session, tuning, bottom, low, high)
    if not any(trial.is_complete for trial in session.trials):
        yield from session.evaluate(top, stage="all high", why="best known", full=True)


def _below_low(session: TrialSession, tuning: AutoTuning, low: Trial) -> Plan[None]:
    """The lowest assignment meets the goals; something finer may be cheaper still."""
    cheapest = cheapest_of_all(session, low.configuration.effective)
    if cheapest == low.configuration.effective:
        session.minimal = True
        return
    trial = yield from session.evaluate(
        cheapest, stage="cheapest", why="nothing is cheaper", errors=True, provisional=True
    )
    trial = yield from _completed(session, trial)
    if trial.is_met and trial.configuration.effective == cheapest:
        session.minimal = True
        return
    yield from _descend(session, tuning, low, Treatment(), "mix")


def _above(session: TrialSession, tuning: AutoTuning, bottom: Assignment, low: Trial, high: Trial) -> Plan[None]:
    """What is left where no mix meets the goals."""
    setting = session.setting
    if has_float_elementwise(setting.target):
        yield from _treated(session, tuning, bottom, low, high)
    elif high_format(setting.target) is Format.INT16:
        yield from _with_fp16(session, tuning, bottom, low, high)
    elif high.is_met:
        yield from _descend(session, tuning, low, Treatment(), "mix")


def _completed(session: TrialSession, trial: Trial) -> Plan[Trial]:
    """A trial that looks good, run on everything."""
    return (yield from session.complete(trial)) if trial.is_promising else trial


def _descend(session: TrialSession, tuning: AutoTuning, base: Trial, treatment: Treatment, label: str) -> Plan[bool]:
    """Descend from a base that misses the goals; return whether anything met them."""
    setting = session.setting
    high = high_format(setting.target)
    start = Start(base, (Format.INT8,), high, treatment, label)
    descent = Descent(session, start, tuning)
    best = yield from descent.run()
    session.minimal = True if descent.minimal else None
    return best is not None


def _treated(session: TrialSession, tuning: AutoTuning, bottom: Assignment, low: Trial, high: Trial) -> Plan[None]:
    """Chips with float elementwise units: the guide's treatments, then a descent that keeps them."""
    if high.is_met:
        yield from _descend(session, tuning, low, Treatment(), "mix")
        return
    high, changes, treatment = yield from treat(session, high)
    if not high.is_met:
        return
    floor = yield from session.evaluate(
        bottom.with_(changes),
        stage="low, treated",
        why="lower bound",
        treatment=treatment,
        errors=True,
        provisional=True,
    )
    floor = yield from _completed(session, floor)
    if floor.is_met:
        session.minimal = True
        return
    yield from _descend(session, tuning, floor, treatment, "mix, treated")


def _with_fp16(session: TrialSession, tuning: AutoTuning, bottom: Assignment, low: Trial, high: Trial) -> Plan[None]:
    """Integer chips: 16 bit on the more sensitive side, then fp16 for the worst groups and a descent below them."""
    if not high.is_met:
        tables = yield from session.tables(low, "all-int8", formats=(Format.INT8,), every=True, spared=False)
        high = yield from one_sided(session, high, bottom, tables, full=False)
    if high.is_met:
        yield from _descend(session, tuning, low, Treatment(), "mix")
        return
    reached = yield from fp16_set(session, high)
    if reached is None:
        return
    start = bottom.with_(dict.fromkeys(sorted(reached[1]), Precision.FP16))
    floor = yield from session.evaluate(
        start, stage="int8/fp16", why="lower bound with the fp16 set", errors=True, provisional=True
    )
    floor = yield from _completed(session, floor)
    if floor.is_met:
        session.minimal = True
        return
    yield from _descend(session, tuning, floor, Treatment(), "mix with fp16")
