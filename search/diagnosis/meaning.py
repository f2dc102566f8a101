"""What cannot be meant: goals that nothing can miss, a float model that has learnt nothing, data that says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from search.data.extremes import Extremes
from search.records.finding import Finding

FEW_CALIBRATION_SAMPLES = 16
CHANCE_SIGMAS = 3.0
_TOP = {"top1": 1, "top5": 5}


@dataclass(frozen=True, kw_only=True)
class GoalFacts:
    """What is known of a goal before the search.

    Attributes:
        id: ``name@output``.
        metric: Its metric.
        is_share: Whether its values lie in [0, 1], and more is better.
        required: Value to reach.
        float_value: Value of the float model; None for fidelity metrics.
        is_rate: Whether each sample is right or wrong.
        classes: Classes of its output; None where it has none.
    """

    id: str
    metric: str
    is_share: bool
    required: float
    float_value: float | None
    is_rate: bool
    classes: int | None

    @property
    def chance(self) -> float:
        """What guessing gives; 0 for other metrics than top-k."""
        return min(1.0, _TOP[self.metric] / self.classes) if self.metric in _TOP and self.classes else 0.0


def goal_meaning(goals: Sequence[GoalFacts], *, n_samples: int) -> Iterator[Finding]:
    """Goals that cannot fail, that the float model does not reach by anything it learnt, or that n cannot tell."""
    for goal in goals:
        if goal.float_value is None or not goal.is_share:
            continue
        evidence = {"goal": goal.id, "required": goal.required, "float": goal.float_value, "chance": goal.chance}
        if goal.required <= goal.chance:
            yield Finding(
                code="goal-cannot-fail",
                severity="error",
                message=f"{goal.id}: the goal asks for {goal.required:.4g}, and guessing gives {goal.chance:.4g}: "
                "nothing can miss it.",
                advice="A drop is a share: 0.01 is one point, 1 is everything. State a limit that says something.",
                evidence=evidence,
            )
        spread = (goal.chance * (1 - goal.chance) / max(1, n_samples)) ** 0.5
        if goal.float_value <= goal.chance + CHANCE_SIGMAS * spread:
            yield Finding(
                code="float-at-chance",
                severity="error",
                message=f"{goal.id}: the float model itself reaches {goal.float_value:.4g}, and guessing gives "
                f"{goal.chance:.4g}.",
                advice="Check the order of the labels, preprocessing (range, channel order, layout) and the class "
                "numbering; a model that works in float comes first.",
                evidence=evidence,
            )
        drop = goal.float_value - goal.required
        if goal.is_rate and 0 < drop * n_samples < 1:
            yield Finding(
                code="too-few-samples",
                severity="warning",
                message=f"{goal.id}: one of {n_samples} samples is worth {1 / n_samples:.4g}, more than the goal lets "
                f"go ({drop:.4g}): a single sample decides.",
                advice="Evaluate on more samples.",
                evidence={**evidence, "samples": n_samples},
            )


def loop_meaning(goals: Iterable[str]) -> Iterator[Finding]:
    """Goals whose metric is a loop of the user's own, by id: nothing is known of single samples."""
    for goal in goals:
        yield Finding(
            code="whole-loop",
            severity="note",
            message=f"{goal}: the metric loops over its data itself and gives one number. Every candidate ran on all "
            "of it, and the value has no interval.",
            advice="A metric of records, per_batch(outputs, labels), ends hopeless candidates early and has intervals.",
            evidence={"goal": goal},
        )


def batch_meaning(mixes: float) -> Iterator[Finding]:
    """Models whose answer to a sample depends on the others in a run.

    Args:
        mixes: By how much of its size it changes.
    """
    if mixes:
        yield Finding(
            code="batch-dependent",
            severity="warning",
            message=f"The answer to a sample changes by {mixes:.3g} of its size with the others in a run.",
            advice="Samples were run one by one; a device that runs batches gives other answers.",
            evidence={"difference": mixes},
        )


def data_meaning(n: int, extremes: Extremes, *, is_random: bool, same_data: bool) -> Iterator[Finding]:
    """Calibration data that says little.

    Args:
        n: Calibration samples.
        extremes: What their largest values say.
        is_random: Whether calibration ran on random numbers.
        same_data: Whether calibration and evaluation data are the same.
    """
    if is_random:
        return
    if n < FEW_CALIBRATION_SAMPLES:
        yield Finding(
            code="few-calibration-samples",
            severity="warning",
            message=f"Ranges come from {n} calibration samples; fewer than {FEW_CALIBRATION_SAMPLES} seldom show them.",
            advice="Take a few hundred real samples.",
            evidence={"samples": n},
        )
    if same_data:
        yield Finding(
            code="calibration-is-evaluation",
            severity="warning",
            message="Calibration and evaluation data are the same: ranges fit these samples, and accuracy is too good.",
            advice="Calibrate on samples that are not evaluated.",
        )
    for name in extremes.zero_inputs:
        yield Finding(
            code="calibration-all-zero",
            severity="error",
            message=f"Input {name!r} is zero in every calibration sample: ranges say nothing about real data.",
            advice="Check how the calibration data was written.",
            evidence={"input": name},
        )
    for one in extremes.outliers:
        yield Finding(
            code="calibration-outlier",
            severity="warning",
            message=f"Calibration sample {one.sample} holds {one.value:.4g} in {one.input!r}, "
            f"{one.value / one.others:.4g} times the largest of all other samples ({one.others:.4g}): it alone sets "
            "ranges.",
            advice="Remove the sample, or name percentile among calibration.methods.",
            evidence={"input": one.input, "sample": one.sample, "value": one.value, "others": one.others},
        )


def output_meaning(constant: Sequence[str]) -> Iterator[Finding]:
    """Outputs of the float model that are the same for every sample."""
    for name in constant:
        yield Finding(
            code="constant-output",
            severity="error",
            message=f"Output {name!r} of the float model is the same for every evaluation sample.",
            advice="A goal on it says nothing. Check preprocessing and the model file.",
            evidence={"output": name},
        )
