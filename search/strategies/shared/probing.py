"""Sensitivity tables, measured on as few samples as order the points reliably.

Every point is measured on the bad cases of the base. Where two halves of these samples order the points too
differently, the points that count are measured on further samples of the evaluation set, in rounds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from search.assignment import Assignment
from search.precision import Format
from search.sensitivity.agreement import COUNTS, rank_agreement
from search.sensitivity.points import Point, PointKind, points_of
from search.sensitivity.table import Table, combined, make_table, ranking_samples
from search.strategies.shared.goals import GoalState
from search.strategies.shared.setting import Setting
from search.strategies.shared.trial import Trial
from search.targets.placement import place
from search.tasks import Item, Plan
from search.work.kinds.sensitivity import MeasurePoint, Mode

FEWEST, MOST = 4, 12  # bad cases that every point is measured on: benchmarks/ranking.py, docs/search.md
SHARE = 0.25  # of the evaluation set: samples that may run in all, over all points
RELIABLE = 0.95  # rank correlation with the order from all samples, as estimated
ROUND = 16  # further samples per round
MOST_SETS = 6.0  # evaluation sets that further samples may come to, over all points and rounds
NEAR = 0.5  # of what counts: points a little below are measured further, too


@dataclass
class Probe:
    """One base under measurement.

    Attributes:
        setting: The facts.
        base: A trial with its bad cases; its formats are the base.
        metrics: Output to the error that ranks its points.
        n_points: Points of the base: the more, the fewer bad cases.
        relied: Outputs whose order must be reliable; the others are measured along with them.
        count: That many bad cases and nothing else; None for as many as it takes.
    """

    setting: Setting
    base: Trial
    metrics: Mapping[str, str]
    n_points: int
    relied: frozenset[str] = frozenset()
    count: int | None = None
    _errors: dict[tuple[str, Point], list[float]] = field(default_factory=dict)

    def alone(self, points: Sequence[Point]) -> Plan[None]:
        """Measure every point alone; those that count again, until the order is reliable or too dear to settle."""
        done = len(self.bad)
        yield from self._measure(points, 0, done)
        room = int(MOST_SETS * self.setting.n_samples) if self.count is None else 0
        while doubtful := self._doubtful(points):
            stop = min(done + min(ROUND, room // len(doubtful)), len(self.samples))
            if stop == done:
                return
            yield from self._measure(doubtful, done, stop)
            room -= (stop - done) * len(doubtful)
            done = stop

    def again(self, points: Sequence[Point], counts: Sequence[int]) -> Plan[None]:
        """Measure every point alone on its first ``counts`` samples."""
        for count in sorted(set(counts)):
            wanted = [point for point, n in zip(points, counts, strict=True) if n == count]
            yield from self._measure(wanted, 0, count)

    def spared(self, points: Sequence[Point]) -> Plan[dict[str, list[float]]]:
        """Measure everything but each point, on the bad cases: output to the mean error per point."""
        other = replace(self, _errors={})
        yield from other._measure(points, 0, len(self.bad), mode="all_but")
        return {output: other.means(output, points) for output in self.metrics}

    def means(self, output: str, points: Sequence[Point]) -> list[float]:
        """Mean error of every point at one output; of several values that rank it, the largest."""
        values = self.setting.ranking_values[output]
        return [max(float(np.mean(self._errors[value, point])) for value in values) for point in points]

    def counts(self, points: Sequence[Point]) -> list[int]:
        """Samples that every point was measured on."""
        value = next(iter(self._metric_of))
        return [len(self._errors[value, point]) for point in points]

    def agreement(self, output: str, points: Sequence[Point]) -> float | None:
        """Estimated rank correlation of the points that count at one output with their order from all samples."""
        kept = self._counting(output, points)
        n = min(self.counts(kept))
        values = [[self._errors[value, point][:n] for point in kept] for value in self.setting.ranking_values[output]]
        return rank_agreement(np.max(np.array(values, dtype=np.float64), axis=0))

    @property
    def n_bad(self) -> int:
        """How many bad cases order the points: few where the evaluation set is small beside the number of points."""
        if self.count is not None:
            return self.count
        affordable = int(SHARE * self.setting.n_samples / max(1, self.n_points))
        return min(max(affordable, FEWEST), MOST)

    @cached_property
    def bad(self) -> tuple[int, ...]:
        """The bad cases that every point is measured on."""
        return ranking_samples(self.base.worst, self._metric_of, self.n_bad)

    @cached_property
    def samples(self) -> tuple[int, ...]:
        """The bad cases, then further samples in the seeded order."""
        return (*self.bad, *(one for one in self.setting.further_samples if one not in self.bad))

    @property
    def _metric_of(self) -> dict[str, str]:
        """Value to the error taken of it."""
        ranked = self.setting.ranking_values
        return {value: metric for output, metric in self.metrics.items() for value in ranked[output]}

    def _doubtful(self, points: Sequence[Point]) -> list[Point]:
        """The points that count in a table that is relied on and whose order is not reliable yet."""
        agreements = {output: self.agreement(output, points) for output in self.metrics if output in self.relied}
        unsure = [output for output, found in agreements.items() if found is not None and found < RELIABLE]
        found = {point for output in unsure for point in self._counting(output, points)}
        return [point for point in points if point in found]

    def _counting(self, output: str, points: Sequence[Point]) -> list[Point]:
        """Points that count at one output or nearly so, by the bad cases alone, which all of them were measured on."""
        n, values = len(self.bad), self.setting.ranking_values[output]
        means = [max(float(np.mean(self._errors[value, point][:n])) for value in values) for point in points]
        return [point for point, mean in zip(points, means, strict=True) if mean >= NEAR * COUNTS * max(means)]

    def _position(self, point: Point) -> int:
        """The group that owns or writes it; -1 for a model input."""
        network = self.setting.network
        group = network.constants[point.index].group if point.kind is PointKind.WEIGHT else None
        writer = network.tensors[point.index].writer if group is None else group
        return -1 if writer is None else writer

    def _measure(self, points: Sequence[Point], start: int, stop: int, mode: Mode = "only") -> Plan[None]:
        """Add the errors of points on ``samples[start:stop]``."""
        samples, metric_of = self.samples[start:stop], self._metric_of
        numerics = self.setting.numerics(self.base.configuration, "fake_quant")
        items = {}
        for point in sorted(points, key=self._position):  # neighbours in the network share what they run
            work = MeasurePoint(
                reference=self.setting.evaluation.reference,
                numerics=numerics,
                base=self.base.configuration,
                point=point,
                mode=mode,
                samples=samples,
                outputs=tuple(metric_of),
            )
            items[point] = Item(work, self.setting.context, macs=self.setting.macs * len(samples))
        answers = yield tuple(items.values())
        for point, item in items.items():
            errors = answers[item].value.errors
            for value, metric in metric_of.items():
                self._errors.setdefault((value, point), []).extend(errors[value][metric])


def tables(
    setting: Setting,
    base: Trial,
    name: str,
    *,
    formats: Sequence[Format],
    every: bool = False,
    spared: bool = True,
    relied: Collection[str] | None = None,
    count: int | None = None,
) -> Plan[tuple[Table, ...]]:
    """Measure one table per output whose goal ``base`` misses (all outputs if it misses none).

    Every point alone; where the base has collapsed, also everything but it. Outputs without real values to rank by
    get no table.

    Args:
        setting: The facts.
        base: A trial with its bad cases: its formats are the base, its bad cases the ranking set.
        name: Name of the base, for the record.
        formats: Which points count, by the format the base holds them in.
        every: Also outputs whose goals the base meets.
        spared: Measure everything but each point, too, where the base has collapsed.
        relied: Outputs whose order must be reliable; by default those whose goals the base misses.
        count: How many bad cases; None for as many as it takes, and further samples where they do not agree.
    """
    placement = place(
        setting.network, setting.target, base.configuration.effective, output_precision=setting.output_precision
    )
    points = points_of(setting.network, placement, formats)
    goals = _goals(setting, base, every=every)
    metrics = {goal.output: goal.ranking for goal in goals}
    if not metrics or not points:
        return ()
    settled = frozenset(missed(setting, base) if relied is None else relied)
    probe = Probe(setting, base, metrics, len(points), settled, count)
    yield from probe.alone(points)
    collapsed = {goal.output for goal in goals if spared and goal.is_collapsed(base.parts[goal.id])}
    left = (yield from probe.spared(points)) if collapsed else {}
    return tuple(
        make_table(
            setting.network,
            output=output,
            metric=metric,
            base=name,
            points=points,
            values=combined(probe.means(output, points), left[output])
            if output in collapsed
            else probe.means(output, points),
            counts=probe.counts(points),
            agreement=probe.agreement(output, points),
        )
        for output, metric in metrics.items()
    )


def errors_at(
    setting: Setting, base: Trial, effective: Assignment, points: Sequence[Point], measured: Sequence[Table]
) -> Plan[dict[str, list[float]]]:
    """Measure points alone as another assignment rounds them, each on the samples its rows in ``measured`` come from.

    Returns:
        Output of ``measured`` to the error of every point, by the metric of its table.
    """
    held = replace(base, configuration=replace(base.configuration, effective=effective))
    metrics = {table.output: table.rows[0].metric for table in measured}
    counts = {(row.point.kind, row.point.index): row.samples for table in measured for row in table.rows}
    probe = Probe(setting, held, metrics, len(measured[0].rows))
    yield from probe.again(points, [counts[p.kind, p.index] for p in points])
    return {output: probe.means(output, points) for output in metrics}


def missed(setting: Setting, base: Trial) -> tuple[str, ...]:
    """Return the outputs whose goals a trial misses on the samples it ran on; all of them if it misses none."""
    return tuple(dict.fromkeys(goal.output for goal in _short(setting, base)))


def _goals(setting: Setting, base: Trial, *, every: bool) -> list[GoalState]:
    """Goals whose outputs get a table: those with real values to rank by."""
    wanted = setting.goals if every else _short(setting, base)
    return [goal for goal in wanted if setting.ranking_values[goal.output]]


def _short(setting: Setting, base: Trial) -> Sequence[GoalState]:
    """Goals that a trial misses on the samples it ran on; all of them if it misses none."""
    return [goal for goal in setting.goals if not goal.is_reached(base.parts[goal.id])] or setting.goals
