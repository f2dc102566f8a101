"""What the Knight tools are told of a finished search, put together on the runner."""

from __future__ import annotations

from collections.abc import Sequence

from search.canonical import Json
from search.data.order import Subset
from search.deployment.knight_plan import KnightMetric, KnightPlan
from search.evaluation.configuration import Configuration
from search.graph.load import read_model
from search.precision import Format
from search.spec.metric_names import is_python
from search.spec.output_part import read_part
from search.work.calibration_samples import used_rows
from search.work.conditions import MetricUse
from search.work.delivery import KnightData
from search.work.fixing import input_tensors
from search.work.item_runner import ItemRunner


def knight_plan(runner: ItemRunner, configuration: Configuration, stated: KnightData | None) -> KnightPlan | None:
    """Return what the tools are told; None where the target is not theirs."""
    tool = runner.problem.target.knight
    if tool is None or stated is None:
        return None
    loaded, problem = runner.loaded, runner.problem
    evaluation = None if problem.evaluation is None else runner.evaluation
    return KnightPlan(
        chip=tool.chip,
        family=tool.family,
        takes_mix=tool.mix_config,
        method=configuration.calibration.method_8,
        order=() if problem.is_random else _order(runner, configuration, seeded=stated.seeded),
        n_calibration=runner.calibration.n_samples,
        seed=stated.seed,
        fixed_batch=loaded.feeding.batch if loaded.feeding.fixed else None,
        n_evaluation=0 if evaluation is None else evaluation.n_samples,
        evaluation_rows=tuple(int(row) for row in evaluation.rows) if isinstance(evaluation, Subset) else None,
        calibration_file=stated.calibration_file,
        evaluation_file=stated.evaluation_file,
        preprocess=_preprocess(runner),
        metric=_metric(runner, stated.uses),
        exact=_exact(runner, configuration),
        ranks={value.name: len(value.shape) for value in loaded.user.inputs},
    )


def _order(runner: ItemRunner, configuration: Configuration, *, seeded: bool) -> tuple[int, ...]:
    """Calibration samples in use: the first of the order that ``calibrate`` took."""
    seed = runner.problem.spec.search.seed if seeded else None
    return used_rows(runner.calibration, configuration, seed=seed)


def _metric(runner: ItemRunner, uses: Sequence[MetricUse]) -> KnightMetric | None:
    if not uses:
        return None
    (stated,) = uses
    if is_python(stated.metric):
        return None  # the files of the Knight tools run no code of the user's own
    (use,) = runner.uses([stated])
    if use.metric.user is not None:
        return None  # nor metrics of records
    part = read_part(use.output)
    return KnightMetric(
        name=stated.metric,
        output=part.output,
        part=part.slices,
        labels=use.labels,
        percentile=stated.percentile,
        is_fidelity=use.metric.is_fidelity,
        graph=None if stated.graph is None else read_model(runner.files.path(stated.graph)).proto.SerializeToString(),
    )


def _preprocess(runner: ItemRunner) -> dict[str, Json] | None:
    preprocess = runner.problem.spec.data.preprocess
    if preprocess is None:
        return None
    shape = runner.inputs[0].shape
    channels = shape[1 if preprocess.layout == "NCHW" else -1] if len(shape) == 4 else None
    return {**preprocess.model_dump(mode="json"), "channels": 3 if channels is None else channels}


def _exact(runner: ItemRunner, configuration: Configuration) -> dict[str, str]:
    """Inputs the chip takes as the whole numbers they are."""
    network, grids = runner.loaded.structure.network, runner.grids(configuration)
    kept = {*configuration.calibration.exact, *(t for t, fixed in runner.fixed.items() if fixed.exact)}
    kept |= {t for t, tensor in enumerate(network.tensors) if tensor.integer_input is not None}
    found = {}
    for value in runner.loaded.user.inputs:
        tensors = input_tensors(runner.loaded, value.name)
        made = [grids.activation(t, Format.INT8) for t in tensors if t in kept]
        if made and len(made) == len(tensors) and all(grid.scale == 1 and grid.zero_point == 0 for grid in made):
            found[value.name] = made[0].dtype.name
    return found
