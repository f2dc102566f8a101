"""The items every study begins with, and what its items share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from search.canonical import digest_json
from search.export.overrides_input import overrides_of
from search.graph.network import Network
from search.shares import cut_samples
from search.spec.goals import Goal
from search.spec.job import InputReading
from search.spec.output_part import output_of
from search.strategies.auto.one_precision import has_one_precision, sample_sizes
from search.study.described import Described
from search.targets.identity import scale_identity
from search.tasks import Answer, Item
from search.work.conditions import MetricUse, Quantization, Reading, SampleSet
from search.work.delivery import KnightData
from search.work.kinds.baseline import Baseline, MeasureFloat
from search.work.kinds.calibrate import Calibrate, Calibrated, Decided
from search.work.kinds.check import Check, Checked
from search.work.kinds.collect import HISTOGRAMS, Collect, Histograms
from search.work.kinds.float import OUTPUTS, FloatRun, RunFloat
from search.work.problem import Problem


def check_item(problem: Problem) -> Item[Checked]:
    """The first item of every study."""
    return Item(check_work(problem), problem.context)


def check_work(problem: Problem) -> Check:
    """Reading the model and the data of a study."""
    return Check(
        evaluation=problem.evaluation,
        calibration=problem.calibration,
        confirmation_share=problem.spec.data.confirmation_share,
        seed=problem.spec.search.seed,
        reading=reading(problem),
        override_tensors=None if problem.overrides is None else tuple(sorted(overrides_of(problem.overrides))),
    )


def collect_item(problem: Problem, described: Described) -> Item[Histograms]:
    """Histograms of every tensor on the calibration samples."""
    available, wanted = described.check.value.n_calibration, problem.spec.calibration.samples
    samples = available if wanted == "all" else min(int(wanted), available)
    seed = problem.spec.search.seed
    work = Collect(
        calibration=problem.calibration,
        reading=reading(problem),
        samples=samples,
        seed=seed if problem.is_random else 0,
        sizes=_sizes(problem, samples),
        order_seed=seed if chooses_samples(problem) else None,
    )
    return Item(work, problem.context, macs=float(described.network.total_macs) * samples)


def calibrate_item(problem: Problem, collected: Answer[Histograms]) -> Item[Calibrated]:
    """The ranges of every method that may be used."""
    samples = collected.value.bounds[-1]
    return Item(
        Calibrate(
            histograms=collected.blobs[HISTOGRAMS],
            collected=collected.value,
            samples=samples,
            methods=_methods(problem),
            rule=problem.target.activation_rule,
            sizes=_sizes(problem, samples),
            decided=Decided(
                inputs=problem.spec.inputs,
                overrides=tuple(sorted(problem.spec.calibration.overrides)),
                tensor_overrides=_tensor_overrides(problem),
            ),
        ),
        problem.context,
    )


def chooses_samples(problem: Problem) -> bool:
    """Whether the number of calibration samples is searched, too."""
    return has_one_precision(problem.target) or problem.spec.search.strategy == "optuna"


def _sizes(problem: Problem, samples: int) -> tuple[int, ...]:
    return sample_sizes(samples) if chooses_samples(problem) else ()


def float_items(problem: Problem, described: Described) -> tuple[Item[FloatRun], ...]:
    """The float model on all evaluation samples, in ranges of the order: the outputs that some goal reads."""
    read = {output_of(name) for goal in described.goals for name in goal.reads(described.network.outputs)}
    outputs = tuple(name for name in described.network.outputs if name in read)
    samples, seed = sample_set(problem), problem.spec.search.seed
    macs, n = float(described.network.total_macs), described.n_samples
    ranges = cut_samples(0, n, batch=described.batch, macs=macs, task_macs=problem.spec.search.task_macs, most=n)
    if len(ranges) == 1:
        return (Item(RunFloat(samples=samples, seed=seed, outputs=outputs), problem.context, macs=macs * n),)
    return tuple(
        Item(
            RunFloat(samples=samples, seed=seed, outputs=outputs, range=(start, stop)),
            problem.context,
            macs=macs * (stop - start),
        )
        for start, stop in ranges
    )


def baseline_item(problem: Problem, described: Described, forward: Sequence[Answer[FloatRun]]) -> Item[Baseline]:
    """What the float model is worth by the metrics of the goals; puts its outputs together if they come in ranges."""
    work = MeasureFloat(
        samples=sample_set(problem),
        seed=problem.spec.search.seed,
        uses=metric_uses(problem, described.goals),
        float_outputs=tuple(answer.blobs[OUTPUTS] for answer in forward if OUTPUTS in answer.blobs),
    )
    macs = 0.0 if work.float_outputs else float(described.network.total_macs) * described.n_samples
    return Item(work, problem.context, macs=macs)


def whole_float(forward: Sequence[Answer[FloatRun]], baseline: Answer[Baseline]) -> Answer[FloatRun]:
    """The float model on all samples as one answer: seconds, smallest and largest inputs, outputs."""
    if len(forward) == 1:
        return forward[0]
    ends: dict[str, tuple[float, float]] = {}
    for answer in forward:
        for name, (low, high) in answer.value.inputs.items():
            known = ends.get(name, (low, high))
            ends[name] = (min(known[0], low), max(known[1], high))
    blobs = {OUTPUTS: baseline.blobs[OUTPUTS]} if OUTPUTS in baseline.blobs else {}
    seconds = sum(answer.seconds for answer in forward)
    return Answer(FloatRun(ends), blobs, seconds=seconds, reused=all(answer.reused for answer in forward))


def _methods(problem: Problem) -> tuple[tuple[str, int], ...]:
    """Every ``(method, bits)`` that may be used."""
    extra = {override.method for override in problem.spec.calibration.overrides.values() if override.method}
    pairs = [(method, bits) for bits in (8, 16) for method in (*methods_by_bits(problem, bits), *sorted(extra))]
    return tuple(dict.fromkeys(pairs))


def methods_by_bits(problem: Problem, bits: int) -> tuple[str, ...]:
    """Methods to try at one width, in the order of the spec or the target."""
    defaults = problem.target.calibration
    return problem.spec.calibration.methods or defaults.methods_8 if bits == 8 else defaults.methods_16


def output_precision(problem: Problem) -> dict[str, str]:
    """Model output to the precision that the spec asks for."""
    return {name: settings.precision for name, settings in problem.spec.outputs.items()}


def sample_set(problem: Problem) -> SampleSet:
    """Which evaluation samples."""
    share = problem.spec.data.confirmation_share
    return SampleSet(
        evaluation=problem.evaluation,
        confirmation_share=share,
        reading=reading(problem),
        split_seed=problem.spec.search.seed if share else None,
    )


def reading(problem: Problem) -> Reading:
    """How data files become samples."""
    stated = {name: one.reading for name, one in problem.spec.inputs.items()}
    return Reading(
        preprocess=problem.spec.data.preprocess,
        inputs={name: one for name, one in stated.items() if one != InputReading()},
    )


def quantization(problem: Problem, network: Network) -> Quantization:
    """How models of the study are quantized."""
    spec = problem.spec
    return Quantization(
        scales=scale_identity(network, problem.target),
        inputs=spec.inputs,
        overrides=spec.calibration.overrides,
        weights=spec.calibration.weights,
        tensor_overrides=_tensor_overrides(problem),
    )


def _tensor_overrides(problem: Problem) -> str | None:
    return None if problem.overrides is None else digest_json(problem.overrides)


def metric_uses(problem: Problem, goals: Sequence[Goal]) -> tuple[MetricUse, ...]:
    """The metrics of the goals."""
    return tuple(
        MetricUse(
            id=goal.id,
            metric=goal.metric,
            output=goal.output,
            labels=goal.labels,
            percentile=goal.percentile if goal.metric == "atol" else None,
            graph=problem.metrics[goal.metric] if goal.is_custom else None,
            direction=goal.direction if goal.is_custom else None,
        )
        for goal in goals
    )


def knight_data(problem: Problem, uses: Sequence[MetricUse], *, seeded: bool) -> KnightData | None:
    """What the Knight tools are told of metric and data; None for other targets."""
    if problem.target.knight is None:
        return None
    data = problem.spec.data
    return KnightData(
        uses=tuple(uses[:1]),
        calibration=problem.calibration,
        calibration_file=None if data.is_random else _file_name(data.calibration),
        evaluation_file=_file_name(data.evaluation),
        seed=problem.spec.search.seed,
        seeded=seeded,
    )


def _file_name(path: str | None) -> str | None:
    return None if path is None else f"./{PurePath(path).name}"
