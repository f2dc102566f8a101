"""Everything that can be wrong with the inputs of a study, found before the first dear item.

The ``check`` result says what the model is; the data and the spec are laid beside it: every value finite, labels that
fit the metrics, names that exist.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from search.data.checks import check_finite, check_shared
from search.data.source import SampleSource
from search.errors import InvalidDataError, UsageError
from search.evaluation.measure import check_sizes, runs
from search.metrics.labels import check_labels
from search.spec.goals import Goal
from search.spec.output_part import output_of, read_part
from search.spec.suggestion import did_you_mean, listing
from search.study.described import Described, describe
from search.study.values import unmeasured_goals
from search.tasks import Answer
from search.work.goal_metric import goal_metric
from search.work.item_runner import ItemRunner
from search.work.kinds.check import Checked
from search.work.problem import Problem

FEWEST_FOR_COSINE = 8
LOOKED_AT = 64
SIZED_BY_DATA = frozenset({"NonMaxSuppression", "NonZero", "Compress", "Unique", "Loop", "If"})
"""Operators whose number of results depends on values; only models with one are looked at more closely."""


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
        read = {output_of(goal.output or "") for goal in described.goals if not goal.is_custom}
        shapes = _output_shapes(runner, read)
        shapes |= {goal.output: _part_shape(goal, shapes) for goal in described.goals if goal.output is not None}
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


def _output_shapes(runner: ItemRunner, judged: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Shape of every output for one sample.

    Raises:
        UnsupportedModelError: If a judged output has other sizes for other samples of one size.
    """
    loaded, source = runner.loaded, runner.evaluation
    names = [value.name for value in loaded.user.outputs]
    varies = loaded.feeding.batch == 1 and any(node.op_type in SIZED_BY_DATA for node in loaded.user.proto.graph.node)
    n = min(LOOKED_AT, source.n_samples) if varies and not runner.sets["evaluation"].differs else 1
    shapes: dict[str, tuple[int, ...]] = {}
    for _, values in runs(loaded.user_session, source, loaded.feeding, np.arange(n), names):
        for name, value in values.items():
            first = shapes.setdefault(name, value.shape)
            if name in judged:
                check_sizes(name, first[1:], value.shape[1:])
    return shapes


def _part_shape(goal: Goal, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of what a goal judges, for one sample.

    Raises:
        UsageError: If the part has more axes than the output, or holds nothing.
    """
    part = read_part(goal.output or "")
    whole = shapes[part.output]
    shape = () if len(part.slices) > len(whole) else part.take(np.empty(whole, np.bool_)).shape
    if len(part.slices) > len(whole) or 0 in shape:
        raise UsageError(
            f"Goal {goal.id!r}: one sample of {part.output!r} is {list(whole)}, samples first; {str(part)!r} "
            f"{'has too many axes' if len(part.slices) > len(whole) else 'holds nothing of it'}."
        )
    return shape


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
