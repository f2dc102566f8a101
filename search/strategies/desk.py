"""The desk a strategy works at: it asks for evaluations and tables, and every answer is kept in order.

``evaluate`` and ``tables`` are plans: they yield items and are sent results. The same configuration is never run twice,
and an evaluation stops as soon as the samples seen rule a goal out, unless it is wanted in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.assignment import Assignment
from search.evaluation.configuration import Configuration, Treatment
from search.metrics.part import Part
from search.metrics.sequential import look_schedule
from search.precision import Format
from search.sensitivity.params import PointParams
from search.sensitivity.points import Point, points_of
from search.sensitivity.table import Table, combined, make_table, ranking_samples
from search.strategies.goals import values_of
from search.strategies.setting import Setting
from search.strategies.trial import Trial, Verdict
from search.targets.placement import place
from search.tasks import Item, ItemResult, Plan

RANKING_SAMPLES = 8  # they order the points as well as 32 do: benchmarks/ranking.py, docs/search.md
MAX_RANGE = 8192  # samples per item: keeps a result far below 256 KiB


@dataclass
class Desk:
    """What has been asked so far. Built anew at every replay of the study.

    Attributes:
        setting: The facts.
        trials: In order.
        table_list: All tables measured, in order.
    """

    setting: Setting
    trials: list[Trial] = field(default_factory=list)
    table_list: list[Table] = field(default_factory=list)
    _by_digest: dict[str, int] = field(default_factory=dict)

    def evaluate(
        self,
        requested: Assignment,
        *,
        stage: str,
        why: str = "",
        ratio: float | None = None,
        sides: Mapping[int, str] | None = None,
        treatment: Treatment | None = None,
        full: bool = False,
    ) -> Plan[Trial]:
        """Evaluate a request after the chip rules; known configurations answer at once.

        Args:
            requested: One precision per group.
            stage: What the strategy is doing, for the record.
            why: What this trial is to find out.
            ratio: Share of the tables promoted.
            sides: Gemm group to the side (``activation | weight``) that keeps 16 bit where only one may.
            treatment: Pre-scales and fixed ranges.
            full: Run all samples even if the goal is out of reach, and keep the bad cases.
        """
        setting = self.setting
        legal = setting.legaliser.legalise(requested, sides=sides)
        configuration = Configuration(legal.effective, setting.calibration, treatment or Treatment())
        known = self._by_digest.get(configuration.digest)
        if known is not None and (not full or self.trials[known].worst):
            return self.trials[known]
        run = yield from self._run(configuration, full=full)
        number = len(self.trials) + 1 if known is None else self.trials[known].number
        trial = Trial(
            number=number,
            stage=stage,
            why=why,
            ratio=ratio,
            requested=requested,
            reasons=legal.reasons,
            configuration=configuration,
            cost=setting.cost.index(legal.effective),
            parts=run.parts,
            ranges=tuple(run.ranges),
            values=values_of(setting.goals, run.parts),
            n_run=run.n,
            verdict=self._verdict(run),
            worst=run.worst,
            evaluated=run.evaluated,
            seconds=run.seconds,
        )
        if known is None:
            self._by_digest[configuration.digest] = len(self.trials)
            self.trials.append(trial)
        else:
            self.trials[known] = trial
        return trial

    def tables(self, base: Trial, name: str, *, formats: Sequence[Format]) -> Plan[tuple[Table, ...]]:
        """Measure one table per output whose goal ``base`` misses (all outputs if it misses none).

        Every point alone; where the base has collapsed, also everything but it. Outputs without real values to rank by
        get no table.

        Args:
            base: A trial run in full: its formats are the base, its bad cases the ranking set.
            name: Name of the base, for the record.
            formats: Which points count, by the format the base holds them in.
        """
        setting = self.setting
        placement = place(
            setting.network, setting.target, base.configuration.effective, output_precision=setting.output_precision
        )
        points = points_of(setting.network, placement, formats)
        short = [goal for goal in setting.goals if not goal.is_met(base.parts[goal.id])] or list(setting.goals)
        goals = [goal for goal in short if setting.ranking_values[goal.output]]
        metrics = {goal.output: goal.ranking for goal in goals}
        if not metrics or not points:
            return ()
        alone = yield from self._errors(base, points, metrics, "only")
        spared = {}
        collapsed = {goal.output for goal in goals if goal.is_collapsed(base.parts[goal.id])}
        if collapsed:
            spared = yield from self._errors(base, points, metrics, "all_but")
        tables = []
        for output, metric in metrics.items():
            values = combined(alone[output], spared[output]) if output in collapsed else alone[output]
            tables.append(
                make_table(setting.network, output=output, metric=metric, base=name, points=points, values=values)
            )
        self.table_list.extend(tables)
        return tuple(tables)

    def _errors(
        self, base: Trial, points: Sequence[Point], metrics: Mapping[str, str], mode: str
    ) -> Plan[dict[str, list[float]]]:
        """Output to the error of every point in one mode, on the bad cases of the base."""
        values_of_output = self.setting.ranking_values
        by_value = {value: metric for output, metric in metrics.items() for value in values_of_output[output]}
        samples = ranking_samples(base.worst, by_value, RANKING_SAMPLES)
        items = {
            point: self._point_item(
                PointParams(base=base.configuration, point=point, mode=mode, samples=samples, outputs=tuple(by_value))
            )
            for point in points
        }
        results = yield tuple(items.values())
        errors = {point: results[item.digest].data["errors"] for point, item in items.items()}
        return {
            output: [max(errors[point][value][metric] for value in values_of_output[output]) for point in points]
            for output, metric in metrics.items()
        }

    def _run(self, configuration: Configuration, *, full: bool) -> Plan[_Run]:
        """Run range by range until the end or until a goal is out of reach."""
        setting = self.setting
        looks = look_schedule(setting.n_samples, setting.batch)
        bounds = _bounds(looks, setting.n_samples, full=full)
        run = _Run({goal.id: [] for goal in setting.goals})
        for stop in bounds:
            item = self._evaluate_item(configuration, run.n, stop, keep_errors=full)
            results = yield (item,)
            result = results[item.digest]
            run.add(result, stop)
            if not full and stop < setting.n_samples and self._hopeless(run, len(looks)):
                break
        return run

    def _hopeless(self, run: _Run, looks: int) -> bool:
        goals = self.setting.goals
        return any(goal.is_hopeless(run.parts[goal.id], n=self.setting.n_samples, looks=looks) for goal in goals)

    def _verdict(self, run: _Run) -> Verdict:
        if run.n < self.setting.n_samples:
            return Verdict.REJECTED
        met = all(goal.is_met(run.parts[goal.id]) for goal in self.setting.goals)
        return Verdict.MET if met else Verdict.MISSED

    def _evaluate_item(self, configuration: Configuration, start: int, stop: int, *, keep_errors: bool) -> Item:
        setting = self.setting
        params = {
            **setting.evaluation,
            "configuration": configuration.to_json(),
            "range": [start, stop],
            "errors_of": list(setting.all_ranking_values) if keep_errors else [],
        }
        return Item("evaluate", setting.context, params, work=setting.macs * (stop - start))

    def _point_item(self, params: PointParams) -> Item:
        setting = self.setting
        work = setting.macs * len(params.samples)
        return Item("sensitivity", setting.context, {**setting.sensitivity, **params.to_json()}, work=work)


@dataclass
class _Run:
    """An evaluation under way."""

    parts: dict[str, list[Part]]
    ranges: list[tuple[int, int, str]] = field(default_factory=list)
    worst: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)
    n: int = 0
    evaluated: bool = False
    seconds: float = 0.0

    def add(self, result: ItemResult, stop: int) -> None:
        data = result.data
        for goal, part in data["parts"].items():
            self.parts[goal].append(Part.from_json(part))
        self.ranges.append((self.n, stop, data["digest"]))
        self.n = stop
        self.evaluated = self.evaluated or not result.reused
        self.seconds += result.seconds
        for output, by_error in data["worst"].items():
            for error, found in by_error.items():
                known = self.worst.setdefault(output, {}).setdefault(error, [])
                known.extend((int(sample), float(value)) for sample, value in found)
                known.sort(key=lambda pair: -pair[1])


def _bounds(looks: Sequence[int], n: int, *, full: bool) -> tuple[int, ...]:
    """Ends of the ranges to run."""
    ends = (n,) if full else tuple(looks)
    cut: list[int] = []
    for end in ends:
        start = cut[-1] if cut else 0
        cut.extend(range(start + MAX_RANGE, end, MAX_RANGE))
        cut.append(end)
    return tuple(cut)
