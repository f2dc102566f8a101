"""The study as a plan: check, calibration, float, comparison of methods, strategy, re-check of the export, files.

``next_tasks`` replays it over the stored results; what it finds missing is what to run next. Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from search.errors import UsageError
from search.strategies.auto.one_precision import best_calibrated, has_one_precision, one_precision
from search.strategies.auto.strategy import auto
from search.strategies.exhaustive.strategy import exhaustive
from search.strategies.ladder.strategy import ladder
from search.strategies.optuna.strategy import Sampling, optuna
from search.strategies.shared.batch import side_by_side
from search.strategies.shared.session import TrialSession
from search.strategies.shared.settling import best_trial, settle, settle_stopped
from search.strategies.shared.trial import Trial
from search.study.bundles import group_items
from search.study.comparing import MethodScore, chosen_methods, compare_methods
from search.study.delivering import deliver, goals_above_float
from search.study.described import Described
from search.study.doubts import doubts, refuse_doubts
from search.study.finalists import Finalists, time_finalists
from search.study.opening import calibrate, check, measure_float
from search.study.results import Results
from search.study.settings import Basis, bounds_only, prepare_setting
from search.targets.legalise import uniform
from search.tasks import Answers, AnyItem, ItemResult, Plan, Task
from search.work.problem import Problem

Stop = Literal["time", "evaluations", "interrupt", "cancel"]
Strategy = Callable[[TrialSession], Plan[object]]


@dataclass(frozen=True, eq=False)
class Finished:
    """A study that needs nothing more.

    Attributes:
        described: What ``check`` said; None if the study stopped before it.
        session: Trials and tables; None if it stopped before the float model was measured.
        chosen: The trial that is delivered; None if none is complete.
        results: What has been answered.
        comparison: How calibration methods did against each other.
        finalists: What was timed; None where the cost model alone decides.
        passed_over: What the search would deliver; None where that is what is delivered.
    """

    described: Described | None
    session: TrialSession | None
    chosen: Trial | None
    results: Results
    comparison: tuple[MethodScore, ...] = ()
    finalists: Finalists | None = None
    passed_over: Trial | None = None


@dataclass
class Progress:
    """What a replay has reached so far; ``delivers`` is the number of the trial that somebody wants."""

    delivers: int | None = None
    described: Described | None = None
    session: TrialSession | None = None
    comparison: tuple[MethodScore, ...] = ()
    results: Results = field(default_factory=Results)
    finalists: Finalists | None = None
    stopping: Stop | None = None

    def keep(self, plan: Plan[Results]) -> Plan[None]:
        """Follow a plan and keep what it was answered."""
        found = yield from plan
        self.results |= found


class Replay:
    """A study fed with results: what it asks for next, and what it has reached.

    It goes as far as the results given to ``advance`` allow and can be fed again; making a new one over all results
    leads to the same point.

    Args:
        problem: The study.
        strategy: What searches instead of the strategy of the spec: for comparisons.
        delivers: Number of the trial to deliver instead of the best.
    """

    def __init__(self, problem: Problem, strategy: Strategy | None = None, *, delivers: int | None = None) -> None:
        self.problem = problem
        self.progress = Progress(delivers)
        self.finished: Finished | None = None
        self._plan: Plan[Finished] = _study(problem, self.progress, strategy or strategy_of(problem))
        self._wanted: tuple[AnyItem, ...] = ()
        self._started = False

    def advance(self, results: Mapping[str, ItemResult], stop: Stop | None = None) -> tuple[Task, ...]:
        """Return the tasks to run next; empty once the study is finished.

        Args:
            results: Everything stored, by item digest.
            stop: If set, only what delivers the best so far is asked for from here on.

        Raises:
            UsageError: If the trial to deliver is none that ran in full.
        """
        missing = self._drive(results)
        if missing and stop is not None and self.progress.stopping is None:
            self.progress.stopping = stop
            self._plan, self._started = _deliver(self.problem, self.progress), False
            missing = self._drive(results)
        return group_items(missing, self.problem.spec.search.task_macs)

    def _drive(self, results: Mapping[str, ItemResult]) -> tuple[AnyItem, ...]:
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
                self._wanted = self._plan.send(Answers(results))
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
    progress.described = described = yield from check(problem)
    progress.results = Results(check=described.check)
    begun = [progress.keep(calibrate(problem, described))]
    if not problem.is_random or problem.evaluation is not None:
        begun.append(progress.keep(measure_float(problem, described)))
    yield from side_by_side(begun)
    calibrated, float_model = progress.results.calibrate, progress.results.float_model
    assert calibrated is not None
    basis = Basis(problem, described, calibrated, float_model)
    if float_model is None:
        progress.session = TrialSession(bounds_only(basis))
        return (yield from _deliver(problem, progress))
    has_one = has_one_precision(problem.target)
    if not has_one:
        progress.comparison = yield from compare_methods(problem, described, calibrated, float_model.run)
    setting = prepare_setting(basis, chosen_methods(problem, progress.comparison))
    refuse_doubts(problem, tuple(doubts(problem, progress.results, setting.goals)))
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
    """Deliver the best trial, or the one that is wanted."""
    session, described = progress.session, progress.described
    if session is not None and progress.stopping is not None:
        yield from settle_stopped(session)
    best = None if session is None else best_of(session, progress.finalists)
    chosen = best if session is None or progress.delivers is None else complete_trial(session.trials, progress.delivers)
    if session is None or described is None:
        return Finished(described, session, None, progress.results)
    results = progress.results | (yield from deliver(problem, described, session, chosen))
    passed_over = None if chosen is best else best
    return Finished(described, session, chosen, results, progress.comparison, progress.finalists, passed_over)


def complete_trial(trials: Sequence[Trial], number: int) -> Trial:
    """The trial of this number.

    Raises:
        UsageError: If there is none, or it did not run on every sample; names those that did.
    """
    complete = {trial.number: trial for trial in trials if trial.is_complete}
    if number not in complete:
        known = any(trial.number == number for trial in trials)
        why = "did not run on every sample" if known else "does not exist"
        raise UsageError(f"Trial {number} {why}. Complete trials: {', '.join(map(str, complete)) or 'none'}.")
    return complete[number]


def best_of(session: TrialSession, finalists: Finalists | None = None) -> Trial | None:
    """The trial to deliver: the fastest of what was timed, else the cheapest by estimate."""
    fastest = None if finalists is None else finalists.fastest(session.trials)
    if fastest is not None:
        return fastest
    best = best_calibrated if session.setting.calibrations else best_trial
    return best(session.trials, session.setting.goals)
