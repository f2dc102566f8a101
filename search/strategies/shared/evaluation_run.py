"""One configuration under one evaluator, range by range, until the end or until a goal is out of reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.evaluation.configuration import Configuration
from search.evaluation.refusal import Refusal
from search.metrics.part import Part
from search.metrics.sequential import look_schedule
from search.records.trial import Estimate
from search.shares import cut_samples
from search.simulator.program import Warned
from search.spec.job import Evaluator
from search.strategies.shared.full_set import full_set_estimate
from search.strategies.shared.goals import values_of
from search.strategies.shared.setting import Setting
from search.strategies.shared.stopping import Look, StoppingRule
from search.strategies.shared.trial import Exported
from search.tasks import Answer, Item, Plan
from search.work.kinds.evaluate import Evaluate, Evaluated, Worst

MAX_RANGE = 8192  # samples per item: keeps a result far below 256 KiB
FEWEST, MOST_AT_FIRST = 16, 128  # samples of the first look
LAST_LOOK_SHARE = 0.8


@dataclass
class Run:
    """What an evaluation gave so far.

    Attributes:
        setting: The facts.
        parts: Goal id to results per range.
        ranges: ``(start, stop, digest of the outputs)``.
        worst: Output to error name to the worst samples, largest error first.
        errors: Value to error name to the sum over the samples run.
        n: Samples run.
        evaluated: Whether any of it was computed for this study.
        seconds: Measured time.
        infeasible: Why the chip cannot run it, or None.
        said: What the last look said.
        decided: Goals that ruled it out.
        n_errors: Samples that ``errors`` sums over and ``worst`` comes from: those of the first look only where
            evaluations are staged, so that all configurations are compared on the same ones, and the bad cases of a
            base do not depend on how strict the goal is.
        warnings: What the integer program gave way to.
        float_interior: Groups the simulator computed in float.
    """

    setting: Setting
    parts: dict[str, list[Part]]
    ranges: list[tuple[int, int, str]] = field(default_factory=list)
    worst: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    n: int = 0
    evaluated: bool = False
    seconds: float = 0.0
    infeasible: Refusal | None = None
    said: Look = Look.GO_ON
    decided: tuple[str, ...] = ()
    n_errors: int = 0
    warnings: tuple[Warned, ...] = ()
    float_interior: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every sample ran."""
        return self.n >= self.setting.n_samples

    @property
    def is_met(self) -> bool:
        """Whether the full set reaches every goal on a chip that can run it."""
        goals, n = self.setting.goals, self.setting.n_samples
        return self.infeasible is None and all(goal.is_met(self.parts[goal.id], n=n) for goal in goals)

    @property
    def values(self) -> dict[str, float | None]:
        """Goal id to value over the samples run; by margin, samples that did not run count as they are in float."""
        if not self.setting.ordered or self.is_complete:
            return values_of(self.setting.goals, self.parts)
        return {goal.id: goal.value([*self.parts[goal.id], *goal.float_rest(self.n)]) for goal in self.setting.goals}

    def exported(self) -> Exported:
        """As the record of a Q/DQ model."""
        return Exported(tuple(self.ranges), self.values, self.n)

    def estimates(self) -> dict[str, Estimate]:
        """Goal id to what is expected of the full set where it did not run."""
        if self.is_complete or self.infeasible is not None:
            return {}
        setting = self.setting
        found = {
            goal.id: full_set_estimate(goal, self.parts[goal.id], n=setting.n_samples, by_margin=setting.ordered)
            for goal in setting.goals
        }
        return {goal: estimate for goal, estimate in found.items() if estimate is not None}

    def hopeless(self, looks: int) -> tuple[str, ...]:
        """Goals that the samples seen rule out."""
        n = self.setting.n_samples
        return tuple(goal.id for goal in self.setting.goals if goal.is_hopeless(self.parts[goal.id], n=n, looks=looks))

    def add(self, answer: Answer[Evaluated], stop: int) -> None:
        """Take in the answer to the next range, which ends at ``stop``."""
        value = answer.value
        for goal, part in value.parts.items():
            self.parts[goal].append(part)
        self.ranges.append((self.n, stop, value.digest))
        self.n = stop
        self.evaluated = self.evaluated or not answer.reused
        self.seconds += answer.seconds
        self.infeasible = self.infeasible or value.infeasible
        self.warnings = value.warnings
        self.float_interior = value.float_interior
        if not self.setting.staged or stop <= stages(self.setting)[0]:
            self.n_errors = stop
            self._add_errors(value.errors)
            self._add_worst(value.worst)

    def _add_errors(self, found: Mapping[str, Mapping[str, float]]) -> None:
        for output, sums in found.items():
            known = self.errors.setdefault(output, {})
            for error, total in sums.items():
                known[error] = known.get(error, 0.0) + total

    def _add_worst(self, worst: Worst) -> None:
        for output, by_error in worst.items():
            for error, found in by_error.items():
                known = self.worst.setdefault(output, {}).setdefault(error, [])
                known.extend(found)
                known.sort(key=lambda pair: -pair[1])

    def mean_errors(self) -> dict[str, dict[str, float]]:
        """Value to error name to mean error."""
        return {
            name: {error: total / max(self.n_errors, 1) for error, total in sums.items()}
            for name, sums in self.errors.items()
        }

    def check_values(self) -> None:
        """Refuse a metric of the user's own that gives no value for all samples.

        Raises:
            MetricFailedError: Says what it did.
        """
        if self.is_complete and self.infeasible is None:
            for goal in self.setting.goals:
                goal.check_value(self.parts[goal.id])

    def look(self, looks: int, stopping: StoppingRule | None) -> Look:
        """What the samples seen say."""
        if self.is_complete:
            return Look.GO_ON
        self.decided = () if self.setting.ordered else self.hopeless(looks)
        if self.decided:
            return Look.REJECT
        if stopping is None:
            return Look.GO_ON
        decision = stopping.look(self.parts, self.mean_errors())
        self.decided = () if decision.ruled_out is None else (decision.ruled_out,)
        return decision.look


def run_configuration(
    setting: Setting,
    configuration: Configuration,
    *,
    evaluator: Evaluator,
    full: bool,
    keep_errors: bool = False,
    stops: Sequence[int] = (),
    stopping: StoppingRule | None = None,
    provisional: bool = False,
) -> Plan[Run]:
    """Evaluate ``configuration``.

    Args:
        setting: The facts.
        configuration: What to run.
        evaluator: By integer arithmetic or as a Q/DQ model.
        full: Run all samples even if a goal is out of reach.
        keep_errors: Keep the bad cases and mean errors.
        stops: Where ranges ended that ran before; they are taken over as they are.
        stopping: Decides where samples run by margin.
        provisional: Also stop with a provisional yes.
    """
    looks = stages(setting) if setting.staged else look_schedule(setting.n_samples, setting.batch)
    run = Run(setting, {goal.id: [] for goal in setting.goals})
    numerics = setting.numerics(configuration, evaluator)
    errors_of = setting.all_ranking_values if keep_errors else ()

    def item(start: int, stop: int) -> Item[Evaluated]:
        work = Evaluate(
            evaluation=setting.evaluation,
            numerics=numerics,
            evaluator=evaluator,
            configuration=configuration,
            errors_of=errors_of,
            range=(start, stop),
        )
        return Item(work, setting.context, macs=setting.macs * (stop - start))

    first = looks[:1] if setting.staged and keep_errors and not stops else ()
    at_once = full or (setting.ordered and stopping is None)  # by margin nobody else stops it
    for look in dict.fromkeys((*first, *stops, setting.n_samples) if at_once else looks):
        ranges = sample_ranges(run.n, look, setting)
        items = [item(start, stop) for start, stop in ranges]
        answers = yield tuple(items)
        for one, (_, stop) in zip(items, ranges, strict=True):
            run.add(answers[one], stop)
        run.check_values()
        if full:
            continue
        run.said = run.look(len(looks), stopping)
        if run.infeasible is not None or run.said is Look.REJECT or (run.said is Look.ACCEPT and provisional):
            break
    return run


def stages(setting: Setting) -> tuple[int, ...]:
    """Return after how many samples to look: from a sixteenth of the set on, growing by half, the whole set last."""
    n, looks = setting.n_samples, []
    look = min(max(FEWEST, n // 16), MOST_AT_FIRST)
    while look <= n * LAST_LOOK_SHARE:
        looks.append(-(-look // setting.batch) * setting.batch if look >= setting.batch else look)
        look = -(-3 * looks[-1] // 2)
    return (*(look for look in looks if look < n), n)  # whole batches may reach beyond a small set


def sample_ranges(start: int, stop: int, setting: Setting) -> list[tuple[int, int]]:
    """Cut samples into the ranges of items: whole batches, of one size, at most ``task_macs`` and ``MAX_RANGE`` each.

    Ranges of one cut are independent of each other; their results do not depend on where they run.
    """
    return cut_samples(start, stop, batch=setting.batch, macs=setting.macs, task_macs=setting.task_macs, most=MAX_RANGE)
