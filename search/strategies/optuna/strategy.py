"""``optuna``: TPE or NSGA-II over a small mixed space, warm-started with what the guide would probe.

Both bounds and the tables come first, as in the ladder. Every proposal is an item of its own (see optuna_gateway.py),
so its parameters are stored and an interrupted study goes on with the same ones. A proposal dearer than the best so far
is not evaluated: whatever it is worth, it would not be chosen. One that is rejected early counts as pruned at the
number of samples it reached. The order is that of the proposals, never that in which evaluations end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from search.assignment import Assignment
from search.evaluation.configuration import Configuration, Treatment
from search.precision import Format
from search.records.verdict import Verdict
from search.sensitivity.table import Row
from search.strategies.auto.surrogate import Start, Surrogate
from search.strategies.ladder.strategy import INTEGERS, has_float_elementwise, high_format, merged_rows
from search.strategies.optuna.space import Space, in_words
from search.strategies.shared.batch import ahead
from search.strategies.shared.goals import total_shortfall
from search.strategies.shared.session import TrialSession
from search.strategies.shared.treatments import treat
from search.strategies.shared.trial import Trial
from search.targets.legalise import uniform
from search.tasks import Item, Plan
from search.work.kinds.propose import Proposal, Propose
from search.work.optuna_gateway import Sampler, Told, Values, version

MOST_ASKS = 80
MOST_BELIEVED = 3  # points of the estimator to begin with
MOST_IDLE = 32  # asks in a row that led to no evaluation


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to search.

    Attributes:
        sampler: ``tpe | nsga2``.
        seed: Seed of the sampler.
        batch: Proposals evaluated at the same time.
    """

    sampler: Sampler
    seed: int
    batch: int = 1


def optuna(session: TrialSession, sampling: Sampling) -> Plan[None]:
    """Run the search; the trials on the session are its result."""
    setting = session.setting
    bottom = uniform(setting.network, setting.target, "low")
    low = yield from session.evaluate(bottom, stage="all low", why="lower bound", full=True)
    if low.is_met:
        return
    top = uniform(setting.network, setting.target, "high")
    high = yield from session.evaluate(top, stage="all high", why="upper bound", full=True)
    treatment = Treatment()
    if has_float_elementwise(setting.target) and not high.is_met:
        high, changes, treatment = yield from treat(session, high)
        bottom = bottom.with_(changes)
        low = yield from session.evaluate(
            bottom, stage="low, treated", why="lower bound", treatment=treatment, full=True
        )
        if low.is_met or not high.is_met:
            return
    space = yield from _space(session, bottom, low, high, treatment)
    if space.tables:
        yield from _Search(session, sampling, space, likely_ratios(session, space, low, high)).run()


def likely_ratios(session: TrialSession, space: Space, low: Trial, high: Trial) -> list[float]:
    """The common ratios that the estimator of ``auto`` thinks most worth an evaluation, best first."""
    start = Start(low, (Format.INT8,), space.high, space.treatment, "optuna")
    surrogate = Surrogate(session, start, space.tables, {})
    for trial in (low, high):
        surrogate.learn(trial)
    ratio_of = {assignment.digest: ratio for ratio, assignment in reversed(list(space.common()))}
    found = surrogate.judged([assignment for _, assignment in space.common()], below=high.cost)
    found.sort(key=lambda one: -one.chance * (high.cost - one.cost))
    return [ratio_of[one.assignment.digest] for one in found[:MOST_BELIEVED]]


def _space(session: TrialSession, bottom: Assignment, low: Trial, high: Trial, treatment: Treatment) -> Plan[Space]:
    """Tables of the base, and rows for fp16 where all of 16 bit misses the goals."""
    above = high_format(session.setting.target)
    tables = yield from session.tables(low, "all low", formats=(Format.INT8,))
    rows: Sequence[Row] = ()
    if above is Format.INT16 and not high.is_met:
        rows = merged_rows((yield from session.tables(high, "all high", formats=INTEGERS)))
    return Space(session.setting, bottom, above, tables, rows, treatment)


@dataclass
class _Search:
    """One search under way."""

    session: TrialSession
    sampling: Sampling
    space: Space
    believed: Sequence[float] = ()
    history: list[Told] = field(default_factory=list)
    idle: int = 0
    turn: int = 0

    def run(self) -> Plan[None]:
        """Propose, evaluate and tell, batch by batch."""
        starts = self._starts()
        while len(self.history) < MOST_ASKS and self.idle < MOST_IDLE:
            given = list(islice(starts, self.sampling.batch))
            points = given or (yield from self._proposals())
            yield from ahead(self.session, [found for point in points if (found := self._wanted(point)) is not None])
            told: list[Told] = []
            for point in points:
                told.append((yield from self._told(point, given=bool(given))))
            self.turn += 1
            self.history += told

    def _starts(self) -> Iterator[Values]:
        seen: set[str] = set()
        for point in self.space.starts(self.believed):
            if in_words(point) not in seen:
                seen.add(in_words(point))
                yield point

    def _proposals(self) -> Plan[list[Values]]:
        items = [self._ask(len(self.history) + i) for i in range(self.sampling.batch)]
        answers = yield tuple(items)
        return [answers[item].value.values for item in items]

    def _ask(self, number: int) -> Item[Proposal]:
        work = Propose(
            optuna=version(),
            sampler=self.sampling.sampler,
            seed=self.sampling.seed,
            space=tuple(self.space.dimensions),
            history=tuple(self.history),
            number=number,
            worst=self._worst,
        )
        return Item(work, self.session.setting.context, macs=1.0)

    @property
    def _worst(self) -> float:
        return max(trial.cost for trial in self.session.trials[:2])

    def _wanted(self, values: Values) -> Configuration | None:
        """What a point would run; None if it is dearer than the best so far."""
        if self._cost(values) >= self._best():
            return None
        return Configuration(self._effective(values), self.space.calibration(values), self.space.treatment)

    def _effective(self, values: Values) -> Assignment:
        legaliser = self.session.setting.legaliser
        return legaliser.legalise(self.space.request(values), sides=self.space.sides(values)).effective

    def _cost(self, values: Values) -> float:
        return self.session.setting.cost.index(self._effective(values))

    def _best(self) -> float:
        return min((trial.cost for trial in self.session.trials if trial.is_met), default=float("inf"))

    def _told(self, values: Values, *, given: bool) -> Plan[Told]:
        """Evaluate a point unless it cannot be better; return what the sampler is told."""
        space, setting = self.space, self.session.setting
        wanted = self._wanted(values)
        if wanted is None:
            self.idle += 1
            return Told(values, self._cost(values), 0.0, given=given, turn=self.turn)
        before = len(self.session.trials)
        trial = yield from self.session.evaluate(
            space.request(values),
            stage=f"optuna {self.sampling.sampler}",
            why=in_words(values),
            ratio=float(values["ratio_0"]) if len(space.tables) == 1 else None,
            sides=space.sides(values),
            treatment=space.treatment,
            calibration=space.calibration(values),
        )
        self.idle = self.idle + 1 if len(self.session.trials) == before else 0
        short = 0.0 if trial.is_met else max(total_shortfall(trial.values, setting.goals), 1e-9)
        rejected = trial.verdict in (Verdict.REJECTED, Verdict.INFEASIBLE)
        return Told(values, trial.cost, short, trial.n_run if rejected else None, given, self.turn)
