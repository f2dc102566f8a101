"""Everything that can be wrong with the inputs of a study, found before the first dear item.

The ``check`` result says what the model is; the data and the spec are laid beside it: every value finite, labels that
fit the metrics, names that exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from search.data.checks import check_finite, check_shared
from search.data.source import SampleSource
from search.errors import InvalidDataError, UsageError
from search.evaluation.measure import runs
from search.metrics.labels import check_labels
from search.spec.suggestion import did_you_mean, listing
from search.study.described import Described, describe
from search.study.values import unmeasured_goals
from search.tasks import Answer
from search.work.goal_metric import goal_metric
from search.work.item_runner import ItemRunner
from search.work.kinds.check import Checked
from search.work.problem import Problem

FEWEST_FOR_COSINE = 8


def preflight(runner: ItemRunner, check: Answer[Checked]) -> None:
    """Look at all inputs once.

    Raises:
        UsageError: If a goal, a pin or a name of the spec does not fit the model.
        InvalidDataError: If data holds NaN or infinities, or labels do not fit.
    """
    _check_measure(runner.problem)
    described = describe(runner.problem, check)
    unmeasured_goals(runner.problem, check)
    _check_spec_names(runner, described)
    sets = _sets(runner)
    for fed in runner.sets.values():
        check_finite(fed.source)
        check_shared(fed)
    if described.goals:
        shapes = _output_shapes(runner)
        _check_sizes(described, shapes)
        for role in ("evaluation", "confirmation"):
            if role in sets:
                _check_labels(runner.problem, sets[role], described, shapes)


def _check_measure(problem: Problem) -> None:
    """Only what runs right here can be timed here."""
    if problem.spec.search.measure and not problem.is_deployed_here:
        raise UsageError(
            f"--measure (search.measure) times models on this machine, but {problem.target.name} is another one. "
            "Leave it out, or take --target ort-cpu."
        )


def _sets(runner: ItemRunner) -> dict[str, SampleSource]:
    found = {"calibration": runner.calibration}
    if runner.problem.evaluation is not None:
        found["evaluation"] = runner.evaluation
        if runner.confirmation is not None:
            found["confirmation"] = runner.confirmation
    return found


def _output_shapes(runner: ItemRunner) -> dict[str, tuple[int, ...]]:
    """Shape of every output for one sample."""
    loaded = runner.loaded
    names = [value.name for value in loaded.user.outputs]
    _, values = next(runs(loaded.user_session, runner.evaluation, loaded.feeding, np.arange(1), names))
    return {name: value.shape for name, value in values.items()}


def _check_labels(
    problem: Problem, source: SampleSource, described: Described, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    for goal in described.goals:
        metric = goal_metric(problem, goal)
        if not metric.needs_labels or goal.labels is None:
            continue
        if goal.labels not in source.label_keys:
            raise InvalidDataError(
                f"{source.name}: has no label array {goal.labels!r}, which {goal.id} needs; "
                f"found {listing(source.label_keys)}. Add it under this name."
            )
        labels = source.labels(goal.labels)
        try:
            check_labels(metric, labels, source.n_samples, shapes[goal.output or ""], key=goal.labels)
        except InvalidDataError as error:
            raise InvalidDataError(f"{source.name}: {error}") from None


def _check_sizes(described: Described, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse the cosine of few numbers: that of one number is 1 whatever it is.

    Raises:
        UsageError: Names the output and the metrics to take.
    """
    for goal in described.goals:
        if goal.metric != "cosine":
            continue
        size = int(np.prod(shapes[goal.output or ""][1:], dtype=np.int64))
        if size < FEWEST_FOR_COSINE:
            raise UsageError(
                f"Goal {goal.id!r}: the cosine of {size} numbers says little (of one number it is always 1). Take "
                f"sqnr_db@{goal.output} with min-value, or l1@{goal.output} or atol@{goal.output} with max-value."
            )


def _check_spec_names(runner: ItemRunner, described: Described) -> None:
    spec, loaded = runner.problem.spec, runner.loaded
    _check_known("inputs", spec.inputs, [value.name for value in loaded.user.inputs], "model inputs")
    _check_known("outputs", spec.outputs, described.network.outputs, "model outputs")
    _ = runner.fixed  # names of tensors are resolved here, against the user's and the prepared model
    if described.goals:
        _check_known("expected_float", spec.expected_float, [goal.id for goal in described.goals], "goals")


def _check_known(key: str, named: Iterable[str], known: Iterable[str], what: str) -> None:
    names = list(known)
    for name in named:
        if name not in names:
            near = did_you_mean(name, names)
            listed = f" The {what} are {listing(names)}." if len(names) <= 20 else ""
            raise UsageError(f"spec: {key}: {name!r} is none of the {what}{near}.{listed}")
