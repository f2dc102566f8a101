"""The end of a study on the runtime that is right here: what meets the goals is timed, and the clock decides.

Timed are the cheapest trials that meet the goals, both bounds, and the user's float model. Within the noise of the
measurement the estimate of the cost model decides. Where float is fastest, float is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.evaluation.configuration import Configuration, Treatment
from search.records.timing import TimedModel, TimingRecord
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.targets.legalise import uniform
from search.tasks import Item, Plan
from search.work.kinds.time import TimeModels, Timing

MOST_TRIALS = 4
FLOOR = 0.03  # relative: what is closer than this is equally fast, however quiet the machine was


@dataclass(frozen=True, eq=False)
class Finalists:
    """What was timed.

    Attributes:
        configurations: In the order of ``timing`` behind the float model.
        timing: Their times.
        threads: Of every session.
    """

    configurations: tuple[Configuration, ...]
    timing: Timing
    threads: int

    @property
    def floor(self) -> float:
        """Relative difference below which two times are the same."""
        return max(FLOOR, self.timing.noise)

    def seconds_of(self, configuration: Configuration) -> float | None:
        """Seconds per sample; None if it was not timed."""
        for one, seconds in zip(self.configurations, self.timing.seconds[1:], strict=True):
            if one.digest == configuration.digest:
                return seconds
        return None

    def fastest(self, trials: Sequence[Trial]) -> Trial | None:
        """The trial that meets the goals in the shortest time; among equally fast ones the cheapest by estimate."""
        timed = [(seconds, trial) for trial in trials if trial.is_met if (seconds := self._of(trial)) is not None]
        if not timed:
            return None
        limit = min(seconds for seconds, _ in timed) * (1.0 + self.floor)
        equal = [trial for seconds, trial in timed if seconds <= limit]
        return min(equal, key=lambda trial: (trial.cost, trial.number))

    def _of(self, trial: Trial) -> float | None:
        return self.seconds_of(trial.configuration)

    def record(self, trials: Sequence[Trial], chosen: Trial | None, by_cost: Trial | None) -> TimingRecord:
        """The times as they are written, with the trials they belong to."""
        number = {trial.configuration.digest: trial.number for trial in trials}
        rows = [TimedModel(name="float", milliseconds=1e3 * self.timing.seconds[0])]
        for one, seconds in zip(self.configurations, self.timing.seconds[1:], strict=True):
            trial = number.get(one.digest)
            name = "all high" if trial is None else f"trial {trial}"
            rows.append(TimedModel(name=name, trial=trial, milliseconds=1e3 * seconds))
        return TimingRecord(
            batch=self.timing.batch,
            threads=self.threads,
            rounds=self.timing.rounds,
            noise=self.timing.noise,
            models=tuple(rows),
            chosen=None if chosen is None else _milliseconds(self.seconds_of(chosen.configuration)),
            changed_the_answer=chosen is not None and by_cost is not None and chosen.number != by_cost.number,
        )


def time_finalists(session: TrialSession, *, threads: int) -> Plan[Finalists | None]:
    """Time what meets the goals beside float; evaluate all_high where it is fastest and nobody ran it.

    Returns:
        None where nothing meets the goals.
    """
    setting = session.setting
    met = sorted((trial for trial in session.trials if trial.is_met), key=lambda trial: (trial.cost, trial.number))
    if not met:
        return None
    high = setting.legaliser.legalise(uniform(setting.network, setting.target, "high")).effective
    low = setting.bounds[0]
    lowest = [trial for trial in session.trials if trial.configuration.effective == low]
    asked = [trial.configuration for trial in (*met[:MOST_TRIALS], *lowest[:1])]
    asked.append(Configuration(high, setting.calibration, Treatment()))
    configurations = tuple({one.digest: one for one in asked}.values())
    evaluation = setting.evaluation
    work = TimeModels(reference=evaluation.reference, seed=evaluation.seed, configurations=configurations)
    item = Item(work, setting.context, macs=setting.macs * len(configurations))
    answers = yield (item,)
    found = Finalists(configurations, answers[item].value, threads)
    yield from _run_high(session, found, configurations[-1])
    return found


def _run_high(session: TrialSession, found: Finalists, high: Configuration) -> Plan[None]:
    """Evaluate the upper bound, if it is faster than all that is known to meet the goals."""
    best, seconds = found.fastest(session.trials), found.seconds_of(high)
    reached = None if best is None else found.seconds_of(best.configuration)
    if reached is None or seconds is None or seconds * (1.0 + found.floor) >= reached:
        return
    why = "faster than every trial that meets the goals"
    yield from session.evaluate(high.effective, stage="all high", why=why, full=True)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds
