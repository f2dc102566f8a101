"""A model measured on samples of the order: metrics of the goals, and errors against the float model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.evaluation.measure import Measured, Runnable, measure
from search.metrics.part import Part
from search.spec.output_part import output_of
from search.work.conditions import Evaluation
from search.work.item_runner import ItemRunner
from search.work.model_run import model_run
from search.work.transforms import TRANSFORMS

Parts = Mapping[str, tuple[Part, ...]]
"""Goal to its results, one per range."""


def measured(
    runner: ItemRunner,
    session: Runnable,
    indices: npt.NDArray[np.int64],
    evaluation: Evaluation,
    errors_of: Sequence[str] = (),
    *,
    is_last: bool,
) -> Measured:
    """Run a model and measure it.

    Args:
        runner: The study's model and data.
        session: What runs.
        indices: Evaluation samples.
        evaluation: Metrics and float outputs.
        errors_of: Values whose errors are taken, outputs of the model or values inside the prepared graph.
        is_last: Whether these are the last samples of the order: metrics that loop over the data run once, with them.
    """
    uses = runner.uses(evaluation.uses)
    reference = evaluation.reference
    outputs = set(runner.loaded.template.outputs)
    inner = [name for name in errors_of if output_of(name) not in outputs]
    read = [name for use in uses for name in use.outputs]
    plain = list(dict.fromkeys([*read, *(name for name in errors_of if output_of(name) in outputs)]))

    def exact(batch: npt.NDArray[np.int64]) -> Mapping[str, Array]:
        values = runner.float_outputs(reference.float_outputs, batch, plain)
        return {**values, **runner.inner_values(inner, batch)} if inner else values

    return measure(
        session,
        runner.evaluation,
        runner.loaded.feeding,
        indices,
        uses=uses,
        reference=exact,
        errors_of=errors_of,
        transforms={name: TRANSFORMS[kind] for name, kind in reference.transforms.items()},
        loop=model_run(session, runner.sets["evaluation"], runner.loaded.feeding) if is_last else None,
    )
