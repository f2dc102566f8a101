"""The study as a plan: check, calibration, float, comparison of methods, strategy, re-check of the export, files.

``next_tasks`` replays it over the stored results; what it finds missing is what to run next. Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from search.evaluation.configuration import Configuration, Treatment
from search.export.calibration_folder import FOLDER
from search.metrics.goal_check import meets
from search.strategies.auto.one_precision import best_calibrated, has_one_precision, one_precision
from search.strategies.auto.strategy import auto
from search.strategies.exhaustive.strategy import exhaustive
from search.strategies.ladder.strategy import ladder
from search.strategies.optuna.strategy import Sampling, optuna
from search.strategies.shared.batch import side_by_side
from search.strategies.shared.goals import GoalState
from search.strategies.shared.recheck import Shards, packed, recheck, recheck_params, together
from search.strategies.shared.session import TrialSession
from search.strategies.shared.settling import best_trial, settle, settle_stopped
from search.strategies.shared.trial import Trial
from search.study.bundles import group_items
from search.study.comparing import chosen_methods, compare_methods
from search.study.described import Described
from search.study.doubts import doubts, refuse_doubts
from search.study.finalists import Finalists, time_finalists
from search.study.items import knight_params, output_precision
from search.study.opening import Opening, one
from search.study.settings import Basis, bounds_only, prepare_setting
from search.targets.legalise import uniform
from search.tasks import Item, ItemResult, Plan, Task
from search.work.problem import Problem

Stop = Literal["time", "evaluations", "interrupt", "cancel"]
Strategy = Callable[[TrialSession], Plan[Any]]
LAYER_SAMPLES = 8  # of --dump-layers: the first of the evaluation data, in its own order
PROFILE_SAMPLES = 32  # of layers.csv, and fewer where the tensors are large
PROFILE_VALUES = 2**26


@dataclass(frozen=True, eq=False)
class Finished:
    """A study that needs nothing more.

    Attributes:
        described: What ``check`` said; None if the study stopped before it.
        session: Trials and tables; None if it stopped before the float model was measured.
        chosen: The trial that is delivered; None if none is complete.
        results: Results by role: ``check, float, baseline, calibrate, recheck, confirm, unoptimized, export, profile``.
        comparison: Rows of ``compare_methods``.
        finalists: What was timed; None where the cost model alone decides.
    """

    described: Described | None
    session: TrialSession | None
    chosen: Trial | None
    results: Mapping[str, ItemResult]
    comparison: tuple[Mapping[str, object], ...] = ()
    finalists: Finalists | None = None


@dataclass
class Progress:
    """What a replay has reached so far."""

    described: Described | None = None
    session: TrialSession | None = None
    comparison: tuple[Mapping[str, object], ...] = ()
    results: dict[str, ItemResult] = field(default_factory=dict)
    finalists: Finalists | None = None
    stopping: Stop | None = None


class Replay:
    """A study fed with results: what it asks for next, and what it has reached.

    It goes as far as the results given to ``advance`` allow and can be fed again; making a new one over all results
    leads to the same point.

    Args:
        problem: The study.
        strategy: What searches instead of the strategy of the spec: for comparisons.
    """

    def __init__(self, problem: Problem, strategy: Strategy | None = None) -> None:
        self.problem = problem
        self.progress = Progress()
        self.finished: Finished | None = None
        self._plan: Plan[Finished] = _study(problem, self.progress, strategy or strategy_of(problem))
        self._wanted: tuple[Item, ...] = ()
        self._started = False

    def advance(self, results: Mapping[str, ItemResult], stop: Stop | None = None) -> tuple[Task, ...]:
        """Return the tasks to run next; empty once the study is finished.

        Args:
            results: Everything stored, by item digest.
            stop: If set, only what delivers the best so far is asked for from here on.
        """
        missing = self._drive(results)
        if missing and stop is not None and self.progress.stopping is None:
            self.progress.stopping = stop
            self._plan, self._started = _deliver(self.problem, self.progress), False
            missing = self._drive(results)
        return group_items(missing, self.problem.spec.search.task_macs)

    def _drive(self, results: Mapping[str, ItemResult]) -> tuple[Item, ...]:
        if self.finished is not None:
            return ()
        try:
            if not self._started:
                self._started = True
                self._wanted = next(self._plan)
            while True:
                missing = tuple(item for item in self._wanted if item.digest not in results)
                if missing:
                    return missing
                self._wanted = self._plan.send({item.digest: results[item.digest] for item in self._wanted})
        except StopIteration as end:
            self.finished = end.value
            return ()


def next_tasks(problem: Problem, results: Mapping[str, ItemResult], stop: Stop | None = None) -> tuple[Task, ...]:
    """Return what to run next; empty when the study is finished.

    Args:
        problem: The study.
        results: Everything stored so far, by item digest.
        stop: If set, only what delivers the best so far is asked for.
    """
    return Replay(problem).advance(results, stop)


def _study(problem: Problem, progress: Progress, strategy: Strategy) -> Plan[Finished]:
    opening = Opening(problem, progress.results)
    progress.described = described = yield from opening.check()
    if problem.is_random and problem.evaluation is None:
        calibrate = yield from opening.calibrate()
        progress.session = TrialSession(bounds_only(Basis(problem, described, calibrate)))
        return (yield from _deliver(problem, progress))
    calibrate, (forward, baseline) = yield from side_by_side((opening.calibrate(), opening.measure_float()))
    has_one = has_one_precision(problem.target)
    if not has_one:
        progress.comparison = yield from compare_methods(problem, described, calibrate, forward)
    methods = chosen_methods(problem, progress.comparison)
    setting = prepare_setting(Basis(problem, described, calibrate, forward, baseline), methods)
    refuse_doubts(problem, tuple(doubts(problem, described.check, setting.goals, baseline)))
    session = TrialSession(setting)
    progress.session = session
    if has_one:
        yield from one_precision(session)
    elif goals_above_float(setting.goals):
        high = uniform(setting.network, setting.target, "high")
        yield from session.evaluate(high, stage="all_high", why="the float model misses the goal itself", full=True)
    else:
        yield from strategy(session)
        yield from settle(session)
        if problem.is_timed:
            progress.finalists = yield from time_finalists(session, threads=problem.threads)
    return (yield from _deliver(problem, progress))


def strategy_of(problem: Problem) -> Strategy:
    """The strategy that the spec names, with its settings."""
    search = problem.spec.search
    strategies: dict[str, Strategy] = {
        "auto": auto,
        "ladder": ladder,
        "exhaustive": partial(exhaustive, batch=search.batch),
        "optuna": partial(optuna, sampling=Sampling(sampler=search.sampler, seed=search.seed, batch=search.batch)),
    }
    return strategies[search.strategy]


def _deliver(problem: Problem, progress: Progress) -> Plan[Finished]:
    """Re-check the best trial's exported file, confirm it, and write the files."""
    results = dict(progress.results)
    session = progress.session
    if session is not None and progress.stopping is not None:
        yield from settle_stopped(session)
    chosen = None if session is None else best_of(session, progress.finalists)
    if session is None or progress.described is None:
        return Finished(progress.described, session, None, results)
    context, last = problem.context, dict[str, Plan[ItemResult]]()
    if chosen is not None:
        exported = yield from session.evaluate_exported(chosen)
        ranges = exported.ranges if chosen.checked is None else chosen.checked
        params = recheck_params(session.setting, chosen.configuration)
        shards = packed(ranges, session.setting.macs, session.setting.task_macs)
        results["recheck"] = yield from recheck(session.setting, chosen.configuration, ranges)
        model = {**params, "model": results["recheck"].blobs["model"]}
        if problem.confirmation is not None or problem.spec.data.confirmation_share:
            last["confirm"] = one(Item("confirm", context, {**model, "confirmation": problem.confirmation}))
        last["unoptimized"] = together(_plain_items(session, model, shards))
    if chosen is not None or session.setting.n_samples == 0:
        last["export"] = one(_export_item(problem, session, chosen, results))
        last["profile"] = one(_profile_item(problem, progress.described, session, chosen))
    results |= zip(last, (yield from side_by_side(tuple(last.values()))), strict=True)
    if problem.dumps_layers and "export" in results:
        items = _layer_items(problem, progress.described, session, chosen)
        found = yield items
        results |= {f"layers:{n}": found[item.digest] for n, item in enumerate(items)}
    return Finished(progress.described, session, chosen, results, progress.comparison, progress.finalists)


def _plain_items(session: TrialSession, params: Mapping[str, Any], shards: Shards) -> list[Item]:
    """The same samples without optimizations; one item for all if they are few."""
    setting = session.setting
    if len(shards) == 1:
        return [Item("unoptimized", setting.context, params, work=setting.macs * setting.n_samples)]
    ends = [[shard[0][0], shard[-1][1]] for shard in shards]
    ends[-1][1] = setting.n_samples
    return [
        Item("unoptimized", setting.context, {**params, "range": end}, work=setting.macs * (end[1] - end[0]))
        for end in ends
    ]


def _layer_items(
    problem: Problem, described: Described, session: TrialSession, chosen: Trial | None
) -> tuple[Item, ...]:
    """One item per sample whose intermediate results are delivered."""
    shared = _inner_params(problem, session, chosen)
    samples = range(min(LAYER_SAMPLES, _available(described)))
    return tuple(Item("layers", problem.context, {**shared, "sample": sample}) for sample in samples)


def _profile_item(problem: Problem, described: Described, session: TrialSession, chosen: Trial | None) -> Item:
    """Float against quantized layer by layer, on few samples."""
    network = described.network
    fitting = PROFILE_VALUES // max(1, sum(tensor.elements for tensor in network.tensors))
    samples = min(PROFILE_SAMPLES, max(1, fitting), _available(described))
    params = {**_inner_params(problem, session, chosen), "samples": samples}
    return Item("profile", problem.context, params, work=3.0 * network.total_macs * samples)


def _inner_params(problem: Problem, session: TrialSession, chosen: Trial | None) -> dict[str, Any]:
    """What inner values of the delivered configuration depend on."""
    setting, configuration = session.setting, delivered(session, chosen)[0]
    return {
        **setting.sensitivity,
        **setting.numerics(configuration, setting.evaluator),
        "configuration": configuration.to_json(),
        "evaluator": setting.evaluator,
        "calibration": problem.calibration if problem.evaluation is None else None,
    }


def _available(described: Described) -> int:
    return described.n_samples or int(described.check.data["n_calibration"])


def delivered(session: TrialSession, chosen: Trial | None) -> tuple[Configuration, Mapping[int, str]]:
    """What is exported, with the reasons of the chip rules: the chosen trial, or all_low without evaluation."""
    if chosen is not None:
        return chosen.configuration, chosen.reasons
    setting = session.setting
    legal = setting.legaliser.legalise(uniform(setting.network, setting.target, "low"))
    return Configuration(legal.effective, setting.calibration, Treatment()), legal.reasons


def best_of(session: TrialSession, finalists: Finalists | None = None) -> Trial | None:
    """The trial to deliver: the fastest of what was timed, else the cheapest by estimate."""
    fastest = None if finalists is None else finalists.fastest(session.trials)
    if fastest is not None:
        return fastest
    best = best_calibrated if session.setting.calibrations else best_trial
    return best(session.trials, session.setting.goals)


def _export_item(
    problem: Problem, session: TrialSession, chosen: Trial | None, results: Mapping[str, ItemResult]
) -> Item:
    setting = session.setting
    configuration, reasons = delivered(session, chosen)
    requested = uniform(setting.network, setting.target, "low") if chosen is None else chosen.requested
    params = {
        **setting.sensitivity,
        "target": problem.target.digest,
        "outputs_precision": output_precision(problem),
        "configuration": configuration.to_json(),
        "requested": requested.to_json(),
        "reasons": {str(g): why for g, why in reasons.items()},
        "model": results["recheck"].blobs["model"] if "recheck" in results else None,
        "ratio": achieved_ratio(session, chosen),
        "calibration_dir": FOLDER if problem.exports_calibration else None,
        "pins": [pin.model_dump(mode="json") for pin in problem.spec.pins],
    }
    if problem.target.knight is not None:
        params["knight"] = knight_params(problem, setting.evaluation["uses"])
        params["seeded"] = bool(setting.calibrations)
    return Item("export", problem.context, params)


def goals_above_float(goals: Sequence[GoalState]) -> tuple[GoalState, ...]:
    """Goals that the float model itself misses."""
    return tuple(
        goal
        for goal in goals
        if goal.float_part is not None and not meets(goal.float_value, goal.required, goal.metric.direction)
    )


def achieved_ratio(session: TrialSession, chosen: Trial | None) -> float | None:
    """Smallest ratio of chosen to float (inverted for errors) over goals that have a float value."""
    ratios = []
    for goal in session.setting.goals if chosen is not None else ():
        value = None if chosen is None else chosen.values[goal.id]
        if value and goal.float_value:
            higher = goal.metric.direction == "higher"
            ratios.append(value / goal.float_value if higher else goal.float_value / value)
    return min(ratios) if ratios else None
