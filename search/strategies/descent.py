"""From a base that misses the goal to a cheap assignment that meets it, guided by the estimator.

1. Every point of the base is measured alone: the estimator.
2. The cheapest assignments under several noise limits are worked out (frontier.py). Each has a cost and a believed
   chance to meet all goals; the one with the largest ``chance * (cost of the best so far - cost)`` is evaluated.
3. Its noise and its values correct the estimator; again from 2 until nothing is worth an evaluation.
4. Sweep: every raised group is tried lower, alone, unless the estimator gives that less than ``EXCLUDED``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.precision import Format, Precision
from search.sensitivity.points import Point
from search.sensitivity.table import Table
from search.strategies.desk import Desk
from search.strategies.estimator import Estimator, OutputNoise, power
from search.strategies.frontier import Frontier, raised
from search.strategies.goal_curve import GoalCurve
from search.strategies.judge import Judge
from search.strategies.kin import Kin, Noise
from search.strategies.levels import Floats, Levels, Options
from search.strategies.setting import Setting
from search.strategies.trial import Trial
from search.tasks import Plan

TIGHTNESS = (0.02, 0.1, 0.25, 0.45, 0.7, 0.85, 1.0, 1.4, 2.0)  # of the believed noise limit
WORTH_A_TRIAL = {True: 0.002, False: 0.006}  # of the cost of all_low, expected saving; by whether samples run by margin
HOPELESS = 0.05  # chance below which, with nothing found so far, the goal is taken to be out of reach
EXCLUDED = 0.1  # chance below which a demotion counts as missed
MOST_TRIALS = 12
MOST_DEMOTIONS = {True: 10, False: 5}  # evaluated in one sweep, likewise; more: nothing is claimed


@dataclass(frozen=True)
class Start:
    """Where a descent starts.

    Attributes:
        base: A trial that misses the goal, with its errors kept.
        formats: Formats of the base that are to be raised.
        high: Highest format to raise to.
        treatment: Kept in every trial.
        label: For the record.
    """

    base: Trial
    formats: tuple[Format, ...]
    high: Format
    treatment: Treatment
    label: str


@dataclass(frozen=True)
class Candidate:
    """An assignment that was not evaluated yet.

    Attributes:
        assignment: What would be evaluated.
        cost: Cost index.
        chance: Believed chance that it meets every goal.
    """

    assignment: Assignment
    cost: float
    chance: float


@dataclass
class Descent:
    """One descent under way.

    Attributes:
        desk: The desk.
        start: Where it starts.
        minimal: Whether the sweep came to its end.
    """

    desk: Desk
    start: Start
    minimal: bool = False
    _curves: list[GoalCurve] = field(default_factory=list)
    _tried: dict[str, Trial] = field(default_factory=dict)
    _lucks: dict[str, Kin] = field(default_factory=dict)

    def run(self) -> Plan[Trial | None]:
        """Return the cheapest trial that meets the goals; None if none is believed to."""
        yield from self.prepare()
        return (yield from self.descend())

    def prepare(self) -> Plan[None]:
        """Measure the points and set the estimator up."""
        start, setting = self.start, self.desk.setting
        tables = yield from self.desk.tables(start.base, start.label, formats=start.formats, every=True, spared=False)
        self._curves = [GoalCurve(goal, setting.n_samples) for goal in setting.goals]
        self.desk.judge = judge_of(setting, self._curves)
        self._tables = {table.output: table for table in tables}
        self._set_up()
        for trial in self.desk.trials:
            self.learn(trial)

    @property
    def best(self) -> Trial | None:
        """The cheapest trial that meets every goal, for certain or as far as was seen."""
        good = [trial for trial in self._tried.values() if trial.is_promising]
        return min(good, key=lambda trial: (trial.cost, trial.number)) if good else None

    def descend(self) -> Plan[Trial | None]:
        """Evaluate what is worth it, sweep, and run the winner on everything; again if it fails there."""
        while self._tables:
            for _ in range(MOST_TRIALS):
                candidate = self._next()
                if candidate is None:
                    break
                yield from self._evaluate(candidate, "frontier")
            if self.best is None:
                return None
            yield from self._sweep()
            best = yield from self.desk.complete(self.best)
            if best.is_met:
                return best
            self.minimal = False
            self.learn(best)
        return self.best

    def learn(self, trial: Trial) -> None:
        """Take in a trial of the same treatment."""
        if trial.configuration.treatment != self.start.treatment or trial.infeasible is not None:
            return
        effective = trial.configuration.effective
        self._tried[effective.digest] = trial
        measured = self._measured(trial)
        relative = 1.0 / np.sqrt(max(trial.n_run, 1))
        if self._options.holds(effective):
            self._estimator.observe(self._options.encode(effective), measured, relative=2.0 * relative)
        for curve in self._curves:
            if curve.goal.output in measured:
                curve.observe(trial.parts[curve.goal.id], measured[curve.goal.output])
        self._compare()

    def _compare(self) -> None:
        """Set every result against the curves as they are now."""
        self._lucks = {curve.goal.id: Kin(signs=curve.is_rate) for curve in self._curves}
        for trial in self._tried.values():
            measured, effective = self._measured(trial), trial.configuration.effective
            if not self._options.holds(effective):
                continue
            levels = self._levels.of(self._options.encode(effective)[np.newaxis])[0]
            for curve in self._curves:
                noise = measured.get(curve.goal.output)
                found = None if noise is None else curve.deviation(trial.parts[curve.goal.id], noise)
                if found is not None:
                    self._lucks[curve.goal.id].add(levels, found.value, found.variance)

    def _set_up(self) -> None:
        setting = self.desk.setting
        base = self.start.base.configuration.effective
        self._options = Options(setting.book, base, tuple(self._choices(base)))
        self._n_bans = len(self.desk.bans.found)
        rows = {output: {row.point: row.value for row in table.rows} for output, table in self._tables.items()}
        points: tuple[Point, ...] = tuple(dict.fromkeys(p for found in rows.values() for p in found))
        self._levels = Levels(self._options, points)
        self._frontier = Frontier(self._levels)
        limits = self._limits()
        self._estimator = Estimator(
            self._levels,
            {
                output: OutputNoise(
                    self._levels,
                    [power(found[p], _metric(self._tables[output])) for p in points],
                    limit=limits.get(output, 1.0),
                )
                for output, found in rows.items()
            },
        )

    def _choices(self, base: Assignment) -> Iterator[tuple[Precision, ...]]:
        """Per group the base and what may be above it."""
        allowed, banned = self.desk.setting.pins.allowed, self.desk.bans.found
        formats = {Format.INT8, Format.INT16, self.start.high}
        for g, own in enumerate(base.precisions):
            wanted = [p for p in allowed[g] if {p.activation, p.weight} <= formats and (g, p) not in banned]
            yield (own,) if own.is_float else raised(wanted, own)

    def _limits(self) -> dict[str, float]:
        """Output to the noise at which its tightest goal is just met."""
        found: dict[str, float] = {}
        for curve in self._curves:
            found[curve.goal.output] = min(found.get(curve.goal.output, np.inf), curve.limit())
        return found

    def _measured(self, trial: Trial) -> dict[str, float]:
        """Output to the noise power that a trial had."""
        found = {}
        for output, table in self._tables.items():
            metric = _metric(table)
            errors = [trial.errors[v][metric] for v in self.desk.setting.ranking_values[output] if v in trial.errors]
            if errors:
                found[output] = power(max(errors), metric)
        return found

    def _chances(self, assignments: Sequence[Assignment]) -> Floats:
        """Believed chance of each assignment to meet every goal."""
        rows = np.array([self._options.encode(a) for a in assignments], np.uint8)
        noises: Mapping[str, Noise] = self._estimator.predict(rows)
        levels = self._levels.of(rows)
        chance = np.ones(len(assignments))
        for curve in self._curves:
            output = curve.goal.output
            if output in noises:
                luck = self._lucks[curve.goal.id].expected(self._estimator.outputs[output].coefficients, levels)
                chance = chance * curve.chance(noises[output], luck)
        return chance

    def _next(self) -> Candidate | None:
        """What is most worth an evaluation."""
        found = self._candidates()
        if self.best is None:
            top = self._cost(self._options.decode(np.array([len(own) - 1 for own in self._options.choices])))
            ceiling, least = max([top, *(one.cost for one in found)]) + self._worth, HOPELESS
        else:
            ceiling, least = self.best.cost, 0.0
        worth = [one for one in found if one.chance >= least]
        if not worth:
            return None
        best = max(worth, key=lambda one: (one.chance * (ceiling - one.cost), -one.cost))
        if self.best is not None and best.chance * (ceiling - best.cost) < self._worth:
            return None
        return best

    @property
    def _worth(self) -> float:
        """Expected saving below which no further evaluation is made."""
        return WORTH_A_TRIAL[self.desk.setting.ordered]

    def _candidates(self) -> list[Candidate]:
        """The frontier at several noise limits, as far as not tried."""
        if self._n_bans != len(self.desk.bans.found):
            self._rebuild()
        limits = self._limits()
        outputs = list(self._estimator.outputs)
        noise = [self._estimator.outputs[name].coefficients for name in outputs]
        floors = [self._estimator.outputs[name].floor for name in outputs]
        found: dict[str, Assignment] = {}
        for share in reversed(TIGHTNESS):
            room = [share * limits.get(name, np.inf) - floor for name, floor in zip(outputs, floors, strict=True)]
            assignment = self._frontier.cheapest(noise, [min(r, 1e12) for r in room])
            if assignment is None or (self.best is not None and self._cost(assignment) >= self.best.cost):
                break  # tighter limits only cost more
            if assignment.digest not in self._tried:
                found.setdefault(assignment.digest, assignment)
        return self._judged(list(found.values()))

    def _judged(self, assignments: Sequence[Assignment]) -> list[Candidate]:
        if not assignments:
            return []
        chances = self._chances(assignments)
        return [Candidate(a, self._cost(a), float(c)) for a, c in zip(assignments, chances, strict=True)]

    def _rebuild(self) -> None:
        """Choices have been ruled out: set up again and learn everything anew."""
        self._curves = [GoalCurve(curve.goal, self.desk.setting.n_samples) for curve in self._curves]
        self.desk.judge = judge_of(self.desk.setting, self._curves)
        self._set_up()
        for trial in self.desk.trials:
            self.learn(trial)

    def _evaluate(self, candidate: Candidate, what: str) -> Plan[Trial]:
        trial = yield from self.desk.evaluate(
            candidate.assignment,
            stage=f"{self.start.label}: {what}",
            why=f"believed chance {candidate.chance:.0%}",
            treatment=self.start.treatment,
            errors=True,
            provisional=True,
        )
        self._tried[candidate.assignment.digest] = trial
        self.learn(trial)
        return trial

    def _sweep(self) -> Plan[None]:
        """Try every raised group lower, alone, starting over below a better one."""
        for _ in range(MOST_DEMOTIONS[self.desk.setting.ordered]):
            assert self.best is not None
            todo = [one for one in self._demotions(self.best) if one.chance >= EXCLUDED]
            if not todo:
                self.minimal = True
                return
            best = self.best
            pick = max(todo, key=lambda one: (one.chance * (best.cost - one.cost), -one.cost))
            yield from self._evaluate(pick, "sweep")

    def _demotions(self, best: Trial) -> list[Candidate]:
        """Untried assignments with one group lower that would be cheaper."""
        effective = best.configuration.effective
        found = []
        for g, own in enumerate(self._options.choices):
            now = effective[g]
            lower = [p for p in own if p is not now and p.activation <= now.activation and p.weight <= now.weight]
            found += [effective.with_({g: p}) for p in lower]
        fresh = [a for a in found if a.digest not in self._tried and self._cost(a) < best.cost]
        return self._judged(fresh)

    def _cost(self, assignment: Assignment) -> float:
        return self.desk.setting.cost.index(assignment)


def judge_of(setting: Setting, curves: Sequence[GoalCurve]) -> Judge | None:
    """Who judges evaluations after a part of the samples; None where they are not staged."""
    if not setting.staged:
        return None
    ranking = {goal.output: goal.ranking for goal in setting.goals}

    def noises(errors: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        found = {}
        for output, metric in ranking.items():
            known = [errors[value][metric] for value in setting.ranking_values[output] if value in errors]
            if known:
                found[output] = power(max(known), metric)
        return found

    return Judge(curves, setting.n_samples, noises)


def _metric(table: Table) -> str:
    return table.rows[0].metric
