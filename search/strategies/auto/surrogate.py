"""The surrogate: cost, noise and the chance that every goal is met, of assignments that were not evaluated.

A noise model per output (noise_model.py), a goal model per goal (goal_model.py) and the correlation of residuals
between assignments that are alike (residual_correlation.py), all of them set up from one base's sensitivity and updated
by every trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from search.assignment import Assignment
from search.evaluation.configuration import Treatment
from search.precision import Format, Precision
from search.quant.fp16 import LARGEST_FP16
from search.sensitivity.table import Table
from search.strategies.auto.early_stopping import EarlyStopping
from search.strategies.auto.goal_model import GoalModel
from search.strategies.auto.noise_model import NoiseModel, OutputNoise, power
from search.strategies.auto.residual_correlation import Noise, ResidualCorrelation
from search.strategies.auto.tuning import DEFAULT, AutoTuning
from search.strategies.shared.attenuation import ChoiceSpace, Floats, Indices, NoiseAttenuation, PromotedNoise
from search.strategies.shared.lp_relaxation import LpRelaxation, raised
from search.strategies.shared.session import TrialSession
from search.strategies.shared.setting import Setting
from search.strategies.shared.trial import Trial

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)


@dataclass(frozen=True)
class Start:
    """Where a descent starts.

    Attributes:
        base: A trial that misses the goal, with its errors kept.
        formats: Formats of the base that are to be raised.
        high: Highest format to raise to.
        treatment: PromotedNoise in every trial.
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


class Surrogate:
    """Predictions at one base.

    Args:
        session: The session.
        start: The base.
        tables: Sensitivity of its points, one table per output.
        kept: What points keep of their noise in finer formats, where that was measured.
        tuning: Every number that is not given.
    """

    def __init__(
        self,
        session: TrialSession,
        start: Start,
        tables: Sequence[Table],
        kept: PromotedNoise,
        tuning: AutoTuning = DEFAULT,
    ) -> None:
        self._tuning = tuning
        self._session = session
        self._start = start
        self._tables = {table.output: table for table in tables}
        self._rows = {table.output: {row.point: row.value for row in table.rows} for table in tables}
        self.curves = [GoalModel(goal, session.setting.n_samples, tuning.goal) for goal in session.setting.goals]
        base = start.base.configuration.effective
        self.options = ChoiceSpace(session.setting.book, base, tuple(self._choices(base)))
        points = tuple(dict.fromkeys(p for found in self._rows.values() for p in found))
        self._attenuation = NoiseAttenuation(self.options, points, kept)
        self._relaxation = LpRelaxation(self._attenuation, session.setting.cost)
        self.tried: dict[str, Trial] = {}
        self._lucks = {
            curve.goal.id: ResidualCorrelation(signs=curve.is_rate, largest=self._tuning.goal.largest_deviation)
            for curve in self.curves
        }
        self._priced: dict[str, tuple[Indices, float]] = {}
        limits = self.limits()
        self._estimator = NoiseModel(
            self._attenuation,
            {
                output: OutputNoise(
                    self._attenuation,
                    [power(found[p], _metric(self._tables[output])) for p in points],
                    limit=limits.get(output, 1.0),
                    tuning=tuning.noise,
                )
                for output, found in self._rows.items()
            },
        )

    def learn(self, trial: Trial) -> None:
        """Take in a trial; those of another treatment say nothing."""
        if trial.configuration.treatment != self._start.treatment or trial.infeasible is not None:
            return
        effective = trial.configuration.effective
        self.tried[effective.digest] = trial
        measured = self._measured(trial)
        if self.options.holds(effective):
            self._estimator.observe(self.options.encode(effective), measured, relative=self._tuning.noise.samples_sd)
        for curve in self.curves:
            if curve.goal.output in measured:
                curve.observe(trial.parts[curve.goal.id], measured[curve.goal.output])
        self._compare()

    def limits(self) -> dict[str, float]:
        """Output to the noise at which its tightest goal is just met."""
        found: dict[str, float] = {}
        for curve in self.curves:
            found[curve.goal.output] = min(found.get(curve.goal.output, np.inf), curve.limit())
        return found

    def cheapest(self, share: float) -> Assignment | None:
        """Return the cheapest assignment whose believed noise is below ``share`` of every limit."""
        limits, outputs = self.limits(), self._estimator.outputs
        noise = [one.coefficients for one in outputs.values()]
        room = [share * limits.get(name, np.inf) - one.floor for name, one in outputs.items()]
        return self._relaxation.cheapest(noise, [min(r, 1e12) for r in room])

    def judged(self, assignments: Iterable[Assignment], *, below: float = np.inf) -> list[Candidate]:
        """Return those that were not tried and cost less than ``below``, with cost and chance."""
        untried = {a.digest: a for a in assignments if a.digest not in self.tried}
        self._price(untried)
        cheap = [(a, *self._priced[digest]) for digest, a in untried.items() if self._priced[digest][1] < below]
        if not cheap:
            return []
        chances = self._chance_of(np.stack([row for _, row, _ in cheap]))
        return [Candidate(a, cost, float(chance)) for (a, _, cost), chance in zip(cheap, chances, strict=True)]

    def _price(self, assignments: Mapping[str, Assignment]) -> None:
        """Work out choices and cost of those that are new; what is not among the choices never costs little enough."""
        fresh = {digest: a for digest, a in assignments.items() if digest not in self._priced}
        held = {digest: a for digest, a in fresh.items() if self.options.holds(a)}
        self._priced.update({digest: (np.zeros(0, np.uint8), np.inf) for digest in fresh if digest not in held})
        if held:
            rows = np.array([self.options.encode(a) for a in held.values()], np.uint8)
            costs = self._session.setting.cost.indices(self._relaxation.known(rows))
            self._priced.update({d: (row, float(cost)) for d, row, cost in zip(held, rows, costs, strict=True)})

    def likeliest(self, rows: Indices, *, ceiling: float) -> list[Candidate]:
        """Return the few of ``rows`` that are most worth an evaluation: by chance times what they cost less."""
        costs = self._session.setting.cost.indices(self._relaxation.known(rows))
        cheap = costs < ceiling
        if not cheap.any():
            return []
        rows, costs = rows[cheap], costs[cheap]
        chances = self._chance_of(rows)
        found, few = [], self._tuning.descent.likeliest
        for i in np.argsort(-chances * (ceiling - costs), kind="stable")[: few + len(self.tried)]:
            assignment = self.options.decode(rows[i])
            if assignment.digest not in self.tried:
                found.append(Candidate(assignment, float(costs[i]), float(chances[i])))
        return found[:few]

    def _chance_of(self, rows: Indices) -> Floats:
        noises: Mapping[str, Noise] = self._estimator.predict(rows)
        attenuation = self._attenuation.of(rows)
        chances = []
        for curve in self.curves:
            output = curve.goal.output
            if output in noises:
                luck = self._lucks[curve.goal.id].expected(self._estimator.outputs[output].coefficients, attenuation)
                chances.append(curve.chance(noises[output], luck))
        return all_met(chances, shared=self._tuning.goal.shared) if chances else np.ones(len(rows))

    def _compare(self) -> None:
        """Set every result against the curves as they are now."""
        self._lucks = {
            curve.goal.id: ResidualCorrelation(signs=curve.is_rate, largest=self._tuning.goal.largest_deviation)
            for curve in self.curves
        }
        for trial in self.tried.values():
            measured, effective = self._measured(trial), trial.configuration.effective
            if not self.options.holds(effective):
                continue
            attenuation = self._attenuation.of(self.options.encode(effective)[np.newaxis])[0]
            for curve in self.curves:
                noise = measured.get(curve.goal.output)
                found = None if noise is None else curve.deviation(trial.parts[curve.goal.id], noise)
                if found is not None:
                    self._lucks[curve.goal.id].add(attenuation, found.value, found.variance)

    def _choices(self, base: Assignment) -> Iterator[tuple[Precision, ...]]:
        """Per group the base and what may be above it."""
        setting = self._session.setting
        allowed, ruled_out = setting.pins.allowed, self._session.infeasible.found
        formats = {Format.INT8, Format.INT16, self._start.high}
        for g, own in enumerate(base.precisions):
            if own.is_float:
                yield (own,)
                continue
            wide = formats if not self._start.high.is_integer or not _fits_fp16(setting, g) else {*formats, Format.FP16}
            wanted = [p for p in raised(allowed[g], own) if {p.activation, p.weight} <= wide]
            yield tuple(p for p in wanted if (g, p) not in ruled_out) or (own,)

    def _measured(self, trial: Trial) -> dict[str, float]:
        """Output to the noise power that a trial had."""
        found = {}
        for output, table in self._tables.items():
            metric = _metric(table)
            errors = [
                trial.errors[v][metric] for v in self._session.setting.ranking_values[output] if v in trial.errors
            ]
            if errors:
                found[output] = power(max(errors), metric)
        return found


def all_met(chances: Sequence[Floats], *, shared: float = DEFAULT.goal.shared) -> Floats:
    """Return the chance that all goals are met, from that of each, ``[n]``.

    The same points bring noise to every output, so goals are mostly met or missed together: as normals that share a
    part ``shared`` of their variance.
    """
    if len(chances) == 1:
        return chances[0]
    ends = scipy.special.ndtri(np.clip(np.array(chances), 1e-12, 1.0 - 1e-12))
    total = np.zeros(len(chances[0]))
    for node, weight in zip(_NODES, _WEIGHTS / _WEIGHTS.sum(), strict=True):
        total += weight * np.prod(scipy.special.ndtr((ends + np.sqrt(shared) * node) / np.sqrt(1.0 - shared)), axis=0)
    return total


def early_stopping_of(
    setting: Setting, curves: Sequence[GoalModel], tuning: AutoTuning = DEFAULT
) -> EarlyStopping | None:
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

    return EarlyStopping(curves, setting.n_samples, noises, tuning.stopping)


def _fits_fp16(setting: Setting, group: int) -> bool:
    """Whether everything a group reads and writes stayed within binary16 in calibration."""
    own = setting.network.groups[group]
    around = {slot.tensor for slot in own.inputs} | set(own.outputs)
    ends = (setting.extremes[t] for t in around)
    return all(one is None or max(-one[0], one[1]) <= LARGEST_FP16 for one in ends)


def _metric(table: Table) -> str:
    return table.rows[0].metric
