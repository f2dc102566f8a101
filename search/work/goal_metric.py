"""The metric of a goal: a built-in one, the user's own Python code (python_metric.py), or her own ONNX graph.

A graph goes from (outputs, labels) to one value per sample. Its inputs are called ``outputs`` and ``labels``, or else
come in this order; one without a second input needs no labels. Its value is the mean over samples. Higher is better,
unless the limit is ``max_increase`` or ``max_value``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from search.arrays import Array
from search.data.inputs import InputInfo
from search.errors import InvalidModelError, UnsupportedModelError, UsageError
from search.graph.load import UserModel, read_model
from search.metrics.custom import per_sample_metric
from search.metrics.metric import Metric
from search.metrics.reductions import Direction
from search.metrics.registry import make_metric
from search.runtime.session import Level, Session
from search.spec.goals import Goal
from search.spec.metric_names import PYTHON_PREFIX
from search.work.problem import Problem
from search.work.python_metric import planned_metric


def goal_metric(problem: Problem, goal: Goal) -> Metric:
    """Return the metric of a goal for planning: values of parts can be taken; one of a graph cannot measure.

    Raises:
        UsageError: If it is Python code that cannot be loaded, or does not run here.
    """
    if goal.is_python:
        check_trusted(problem, goal.metric)
        return planned_metric(goal, problem.own_metrics)
    if goal.is_custom:
        return per_sample_metric(goal.metric, _no_graph, direction=goal.direction, needs_labels=False)
    return make_metric(goal.metric, goal.percentile if goal.metric == "atol" else None)


def check_trusted(problem: Problem, name: str) -> None:
    """Refuse the user's own Python code where nobody asked for it.

    Raises:
        UsageError: Names the metric.
    """
    if name.startswith(PYTHON_PREFIX) and not problem.trusts_python:
        raise UsageError(f"Metric {name!r} is Python code, which does not run here.")


def graph_metric(name: str, path: Path, *, direction: Direction, threads: int) -> Metric:
    """Return the metric an ONNX file computes.

    Raises:
        UsageError: If the file is no model of one or two inputs and one output.
    """
    try:
        model = read_model(path)
        session = Session(model.proto, level=Level.PLAIN, threads=threads)
    except InvalidModelError as error:
        raise UsageError(f"Metric {name!r} cannot be used: {error}") from None
    found = _inputs(name, model)
    output = session.outputs[0]

    def per_sample(outputs: Array, labels: Array | None) -> Array:
        given = [outputs] if labels is None else [outputs, labels]
        feeds = {
            one.name: np.ascontiguousarray(value, dtype=one.dtype)
            for one, value in zip(found, given[: len(found)], strict=True)
        }
        try:
            return session.run(feeds, [output])[output]
        except UnsupportedModelError as error:
            shapes = " and ".join(str(list(value.shape)) for value in given)
            raise UsageError(f"Metric {name!r} cannot be computed on arrays of shape {shapes}: {error}") from None

    return per_sample_metric(name, per_sample, direction=direction, needs_labels=len(found) == 2)


def _inputs(name: str, model: UserModel) -> tuple[InputInfo, ...]:
    """Its inputs, outputs first."""
    inputs = tuple(InputInfo(name=v.name, dtype=np.dtype(v.dtype), shape=v.shape) for v in model.inputs)
    if len(inputs) not in (1, 2) or len(model.outputs) != 1:
        raise UsageError(
            f"Metric {name!r} has {len(inputs)} inputs and {len(model.outputs)} outputs; it must go from (outputs) or "
            "(outputs, labels) to one value per sample."
        )
    return tuple(sorted(inputs, key=lambda one: (one.name == "labels") - (one.name == "outputs")))


def _no_graph(outputs: Array, labels: Array | None) -> Array:
    raise ValueError("A metric made for planning cannot measure.")
