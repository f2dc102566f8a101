"""The end of a study on the runtime that is right here: what meets the goals is timed, and the clock decides.

Timed are the cheapest trials that meet the goals, both bounds, and the user's float model. Within the noise of the
measurement the estimate of the cost model decides. Where float is fastest, float is the answer. Where most of the
compute is in products and LSTMs, the runtime's own dynamic quantization is tried, too: no assignment, so no trial, but
a file to be delivered beside, if it meets the goals in less time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.evaluation.configuration import Configuration, Treatment
from search.records.timing import TimedModel, TimingRecord
from search.strategies.shared.goals import values_of
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.targets.legalise import uniform
from search.tasks import Item, Plan
from search.work.kinds.dynamic import MODEL, TryDynamic
from search.work.kinds.time import TimeModels, Timing

MOST_TRIALS = 4
DYNAMIC_FILE = "model.dynamic.onnx"
DYNAMIC_OPERATORS = ("MatMul", "Gemm", "LSTM")
DYNAMIC_SHARE = 0.5  # of the compute; convolutions, where the others are, stay float
FLOOR = 0.03  # relative: what is closer than this is equally fast, however quiet the machine was


@dataclass(frozen=True)
class Dynamic:
    """The dynamically quantized model.

    Attributes:
        blob: The file.
        values: Goal to value over all samples.
        is_met: Whether it meets every goal.
    """

    blob: str
    values: Mapping[str, float | None]
    is_met: bool

    def row(self, seconds: float) -> TimedModel:
        """As it is written."""
        return TimedModel(
            name="dynamic quantization", milliseconds=1e3 * seconds, values=self.values, is_met=self.is_met
        )


@dataclass(frozen=True, eq=False)
class Finalists:
    """What was timed.

    Attributes:
        configurations: In the order of ``timing`` behind the float model.
        timing: Their times.
        threads: Of every session.
        dynamic: The dynamically quantized model; None where it was not tried, or could not be made.
    """

    configurations: tuple[Configuration, ...]
    timing: Timing
    threads: int
    dynamic: Dynamic | None = None

    @property
    def floor(self) -> float:
        """Relative difference below which two times are the same."""
        return max(FLOOR, self.timing.noise)

    def seconds_of(self, configuration: Configuration) -> float | None:
        """Seconds per sample; None if it was not timed."""
        for one, seconds in zip(self.configurations, self.timing.seconds[1:], strict=False):
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

    def blob_beside(self, chosen: Trial | None) -> str | None:
        """Blob of the dynamically quantized model, if it meets the goals in less time than what is delivered."""
        reached = None if chosen is None else self.seconds_of(chosen.configuration)
        if self.dynamic is None or not self.dynamic.is_met or reached is None:
            return None
        return self.dynamic.blob if self.timing.seconds[-1] * (1.0 + self.floor) < reached else None

    def record(self, trials: Sequence[Trial], chosen: Trial | None, by_cost: Trial | None) -> TimingRecord:
        """The times as they are written, with the trials they belong to."""
        number = {trial.configuration.digest: trial.number for trial in trials}
        rows = [TimedModel(name="float", milliseconds=1e3 * self.timing.seconds[0])]
        for one, seconds in zip(self.configurations, self.timing.seconds[1:], strict=False):
            trial = number.get(one.digest)
            name = "all high" if trial is None else f"trial {trial}"
            rows.append(TimedModel(name=name, trial=trial, milliseconds=1e3 * seconds))
        if self.dynamic is not None:
            rows.append(self.dynamic.row(self.timing.seconds[-1]))
        return TimingRecord(
            batch=self.timing.batch,
            threads=self.threads,
            rounds=self.timing.rounds,
            noise=self.timing.noise,
            models=tuple(rows),
            file=DYNAMIC_FILE if self.blob_beside(chosen) is not None else None,
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
    dynamic = yield from _try_dynamic(session)
    files = () if dynamic is None else (dynamic.blob,)
    work = TimeModels(reference=evaluation.reference, seed=evaluation.seed, configurations=configurations, files=files)
    item = Item(work, setting.context, macs=setting.macs * len(configurations))
    answers = yield (item,)
    found = Finalists(configurations, answers[item].value, threads, dynamic)
    yield from _run_high(session, found, configurations[-1])
    return found


def _try_dynamic(session: TrialSession) -> Plan[Dynamic | None]:
    """Dynamic quantization, where most of the compute is in operators it has integer kernels for."""
    setting = session.setting
    within = sum(group.macs for group in setting.network.groups if group.op_type in DYNAMIC_OPERATORS)
    if within < DYNAMIC_SHARE * setting.network.total_macs or not within:
        return None
    item = Item(TryDynamic(evaluation=setting.evaluation), setting.context, macs=setting.macs * setting.n_samples)
    answers = yield (item,)
    answer = answers[item]
    if MODEL not in answer.blobs:
        return None
    parts = answer.value.parts
    is_met = all(goal.is_met(parts[goal.id], n=setting.n_samples) for goal in setting.goals)
    return Dynamic(answer.blobs[MODEL], values_of(setting.goals, parts), is_met)


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
